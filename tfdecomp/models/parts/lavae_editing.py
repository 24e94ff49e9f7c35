"""What one does with LAVAE's scenes: new ones, and old ones changed."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfdecomp.models import base
from tfdecomp.models.parts import scenes
from tfdecomp.models.parts.frames import split_frames


class EditableScenes(base.DecompositionModel):
    """Encodes, changes and draws scenes; `LAVAE` finds and draws objects."""

    def encode(self, inputs):
        """Mean appearances, places and presence of the objects found.

        Returns:
            `slots` `[B, T, K, L]`, `locations` `[B, T, K, 2]` and `presence`
            `[B, T, K]`, `K = M + 1`; slot 0 is the background.
        """
        frames, _, shape = self._frames(inputs)
        scene = self._infer(frames)
        return split_frames(scenes.public(scene, self.image_size), shape)

    def decode(self, slots, locations, presence):
        """Draws scenes.

        Args:
            slots: `[N, K, L]`; slot 0, the background, is not read.
            locations: `[N, K, 2]`, `(y, x)` in pixels; the sprite's centre
                pixel lands on the pixel that holds the point.
            presence: `[N, K]`; objects above a half are drawn.

        Returns:
            `recon`, `masks`, `components`, `boxes`, by frame.
        """
        scene = scenes.from_public(slots, locations, presence, self.image_size)
        return self.draw(scene)

    def sample_prior(self, num_samples, seed=(0, 0), count_probs=None):
        """Draws scenes from the prior.

        Args:
            num_samples: `N`.
            seed: Two integers.
            count_probs: Probabilities of 0...M objects in place of the
                learned a; the paper makes scenes of four and five objects
                with a half each.

        Returns:
            As `decode`, with `slots`, `locations` and `presence`.

        Raises:
            ValueError: If `count_probs` are no `M + 1` probabilities.
        """
        scene = self.prior(count_probs).sample(num_samples, seed)
        return {**self.draw(scene), **scenes.public(scene, self.image_size)}

    def swap(self, inputs, permutation=None):
        """Objects trade places: appearances stay in order, places do not.

        Args:
            inputs: As for `call`.
            permutation: `M` indices: object i goes where object
                `permutation[i]` was. By default each goes to the next one's
                place, the last to the first one's, whatever their number.
                Places where no object was found are passed over.

        Returns:
            `recon` `[B, T, H, W, C]`.
        """
        frames, _, shape = self._frames(inputs)
        scene = self._infer(frames)
        count = tf.reduce_sum(tf.cast(scene.present, tf.int32), 1)[:, None]
        if permutation is None:
            slots = tf.range(self.max_objects)[None]
            target = tf.where(
                slots < count, (slots + 1) % tf.maximum(count, 1), slots
            )
        else:
            permutation = self._check_permutation(permutation)
            target = tf.tile(permutation[None], [tf.shape(frames)[0], 1])
            # Along its cycle an object comes to a place that is taken, its
            # own at the latest.
            for _ in range(self.max_objects):
                further = tf.gather(permutation, target)
                target = tf.where(target < count, target, further)
        order = tf.gather(scene.order, target, batch_dims=1)
        moved = dataclasses.replace(scene, order=order)
        return split_frames(self.draw(moved), shape)["recon"]

    def traverse(self, inputs, slot, dims=None, values=None):
        """Sweeps the appearance of one object in the last frame.

        Args:
            inputs: As for `call`.
            slot: Slot of the object, from 1; 0 is the background.
            dims: Latent dimensions; all of them by default.
            values: Values to set; `linspace(-3, 3, 9)` by default.

        Returns:
            `[B, len(dims), len(values), H, W, C]`.
        """
        self._check_object(slot)
        values = self.traversal_values if values is None else values
        dims = base.check_sweep(slot, dims, self.num_slots, self.latent_dim)
        scene = self._infer(self._last_frames(inputs))
        rows = []
        for dim in dims:
            chosen = tf.one_hot(slot - 1, self.max_objects)[:, None]
            chosen *= tf.one_hot(dim, self.latent_dim)  # [M, L]
            swept = [
                scene.latents * (1.0 - chosen) + chosen * float(value)
                for value in values
            ]
            rows.append([dataclasses.replace(scene, latents=z) for z in swept])
        return self._draw_rows(rows)

    def move(self, inputs, slot, positions):
        """Moves one object of the last frame and nothing else.

        Args:
            inputs: As for `call`.
            slot: Slot of the object, from 1.
            positions: `[P, 2]` points `(y, x)` in pixels.

        Returns:
            `[B, P, H, W, C]`.
        """
        self._check_object(slot)
        scene = self._infer(self._last_frames(inputs))
        chosen = tf.one_hot(slot - 1, self.max_objects, dtype=tf.int32)
        indices = scenes.flat_index(
            tf.convert_to_tensor(positions, tf.float32), self.image_size
        )
        row = [
            dataclasses.replace(
                scene, order=scene.order * (1 - chosen) + chosen * index
            )
            for index in tf.unstack(indices)
        ]
        return self._draw_rows([row])[:, 0]

    def _infer(self, frames):
        return self.posterior(frames).mode()

    def _last_frames(self, inputs):
        self.check_video(inputs["video"])  # before it is cut
        last = {
            **inputs,
            "video": tf.convert_to_tensor(inputs["video"])[:, -1:],
        }
        return self._frames(last)[0]

    def _draw_rows(self, rows):
        """Lists of lists of scenes -> `[N, rows, columns, H, W, C]`."""
        drawn = [
            tf.stack([self.draw(scene)["recon"] for scene in row], axis=1)
            for row in rows
        ]
        return tf.stack(drawn, axis=1)

    def _check_probs(self, count_probs):
        probs = tf.convert_to_tensor(count_probs, tf.float32)
        size = self.max_objects + 1
        if (
            probs.shape != (size,)
            or np.min(probs) < 0.0
            or abs(np.sum(probs) - 1.0) > 1e-4
        ):
            raise ValueError(
                f"count_probs must be the {size} probabilities of 0 to "
                f"{self.max_objects} objects and sum to 1, got "
                f"{list(count_probs)}"
            )
        return probs

    def _check_permutation(self, permutation):
        if sorted(permutation) != list(range(self.max_objects)):
            raise ValueError(
                f"permutation must order 0...{self.max_objects - 1}, got "
                f"{list(permutation)}"
            )
        return tf.constant(permutation, tf.int32)

    def _check_object(self, slot):
        if not 1 <= slot <= self.max_objects:
            raise ValueError(
                f"objects have the slots 1...{self.max_objects}, got {slot}; "
                "slot 0 is the background, which has no appearance"
            )
