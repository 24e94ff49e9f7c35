"""What one does with DDPAE's videos: continue them, draw and change them."""

import numpy as np
import tensorflow as tf

from tfdecomp.models import base
from tfdecomp.ops import poses, sprites

POSE = 3  # scale, x, y


class PosedVideos(base.Predicting, base.DecompositionModel):
    """Shows, continues and draws videos; `DDPAE` infers them."""

    def _shown(self, components, raw):
        """What pictures and tracks of components need."""
        size, n = self.image_size[0], self.num_components
        total = tf.reduce_sum(components, axis=2, keepdims=True)
        masks = components / tf.maximum(total, 1.0)
        masks = tf.reduce_mean(masks, axis=-1, keepdims=True)
        rest = 1.0 - tf.reduce_sum(masks, axis=2, keepdims=True)
        windows = poses.boxes(
            poses.constrain(raw, self.scale_prior), size, self.object_size
        )
        corners = sprites.edges_of(windows)
        ids = tf.range(1, n + 1) + tf.zeros_like(raw[..., 0], tf.int32)
        return {
            "components": behind(components),
            "masks": tf.concat([tf.maximum(rest, 0.0), masks], axis=2),
            "boxes": behind(tf.clip_by_value(corners, 0.0, float(size))),
            "locations": behind(windows[..., :2]),
            "presence": tf.ones_like(behind(raw)[..., 0]),
            "track_ids": behind(ids),
        }

    def predict_frames(self, state, seed, num_frames):
        """Continues a video: R_out says how poses go on, looks stay.

        Args:
            state: The `state` of an earlier output.
            seed: `[B, 2]`, the clip's seeds.
            num_frames: Number of frames to predict.

        Returns:
            A `Decomposition` of the predicted frames, with `state`.
        """
        first = tf.cast(state["frame"], tf.int32)
        g, (h, c) = self._go_on((state["h"], state["c"]), num_frames)
        noise = self._noise(tf.cast(seed, tf.int32), first, num_frames)
        increments = self._increments(g).from_noise(noise["increments"])
        raw = tf.cumsum(tf.concat([state["pose"][:, None], increments], 1), 1)
        drawn = self._drawn(raw[:, 1:], state["content"])
        after = {"h": h, "c": c, "pose": raw[:, -1]}
        after = {**state, **after, "frame": first + num_frames}
        return {**drawn, "state": after}

    def _drawn(self, raw, content):
        """A `Decomposition` of poses `[B, T, N, 3]` and `[B, N, Z]`."""
        components = self.draw(raw, content)
        return {
            "recon": summed(components),
            "slots": as_slots(raw, content),
            **self._shown(components, raw),
        }

    def sample_prior(self, num_samples, num_frames=1, seed=(0, 0)):
        """Draws videos.

        Args:
            num_samples: `N`.
            num_frames: `T`.
            seed: Two integers.

        Returns:
            As `predict_frames`, `[N, T, ...]`, without `state`.
        """
        p, n = self.prior(), self.num_components
        seeds = tf.random.split(seed, len(p))
        shape = [num_samples, num_frames, n]
        increments = p["increments"].sample(shape, seed=seeds[0])
        start = p["pose"].sample([num_samples, 1, n], seed=seeds[1])
        content = p["content"].sample([num_samples, n], seed=seeds[2])
        return self._drawn(start + tf.cumsum(increments, axis=1), content)

    def encode(self, inputs):
        """Raw poses and contents, means, `slots` `[B, T, K, D]`."""
        return {"slots": self(inputs)["slots"]}

    def decode(self, slots):
        """Draws slots `[N, K, D]` of frames.

        Returns:
            `recon`, `components`, `masks`, `boxes` and `presence`, without an
            axis of frames.
        """
        each = slots[:, None, 1:]
        drawn = self._drawn(each[..., :POSE], each[:, 0, :, POSE:])
        names = ("recon", "components", "masks", "boxes", "presence")
        return {name: drawn[name][:, 0] for name in names}

    def traverse(self, inputs, slot, dims=None, values=None):
        """Sweeps latents of one component in the last frame.

        Args:
            inputs: As for `call`.
            slot: The component, from 1.
            dims: Latents: 0 to 2 are the raw pose; all of them by default.
            values: Values to set; `linspace(-2, 2, 7)` by default.

        Returns:
            `[B, len(dims), len(values), H, W, C]`.
        """
        values = np.linspace(-2, 2, 7) if values is None else values
        if slot == 0:
            raise ValueError(
                "slot 0 is the black background, which has no latents; choose "
                f"one of 1...{self.num_components}"
            )
        size = POSE + self.content_dim
        dims = base.check_sweep(slot, dims, self.num_slots, size)
        slots = self.encode(inputs)["slots"][:, -1]  # [B, K, D]
        rows = []
        for dim in dims:
            chosen = np.zeros((self.num_slots, size), bool)
            chosen[slot, dim] = True
            swept = [
                self.decode(tf.where(chosen, float(value), slots))["recon"]
                for value in values
            ]
            rows.append(tf.stack(swept, axis=1))
        return tf.stack(rows, axis=1)


def summed(components):
    """The frame: `[B, T, N, H, W, C]` -> `[B, T, H, W, C]`, at most 1."""
    return tf.minimum(tf.reduce_sum(components, axis=2), 1.0)


def behind(values):
    """Components `[B, T, N, ...]` and zeros for the background before them."""
    return tf.concat([tf.zeros_like(values[:, :, :1]), values], axis=2)


def as_slots(raw, content):
    """`[B, T, K, 3 + Z]` of poses `[B, T, N, 3]` and contents `[B, N, Z]`."""
    content = tf.repeat(content[:, None], tf.shape(raw)[1], axis=1)
    return behind(tf.concat([raw, content], axis=-1))
