"""The randomness of objects in every frame of a clip."""

import tensorflow as tf

from tfdecomp.models.parts.frames import FrameNoise

_NORMAL, _UNIFORM = range(2)  # purposes of a frame's noise
_USERS = ("propagated", "expected", "discovered", "dropout")


def none(t):
    """No noise, for means: None for every user."""
    del t
    return dict.fromkeys(_USERS)


class ObjectNoise:
    """Noise of objects that are propagated, expected and discovered.

    Args:
        seeds: `[B, 2]` int32, one per clip.
        first: Number of the clip's first frame in the whole video.
        num_frames: `T`.
        num_kept: `K`.
        num_new: Cells of the grid.
        width: Normal variables of an object.
    """

    def __init__(self, seeds, first, num_frames, num_kept, num_new, width):
        self.num_kept = num_kept
        count = 2 * num_kept + num_new
        noise = FrameNoise(seeds, first + tf.range(num_frames))
        lead = [tf.shape(seeds)[0], num_frames]
        normal = noise.normal(_NORMAL, (count * width,))
        uniform = noise.uniform(_UNIFORM, (count + 1,))
        self.normal = tf.reshape(normal, [*lead, count, width])
        self.uniform = tf.reshape(uniform, [*lead, count + 1])

    def __call__(self, t):
        """Of the clip's frame t.

        Returns:
            User -> `normal` `[B, n, width]` and `uniform` `[B, n, 1]`; and
            `dropout` `[B]`, uniform.
        """
        normal = tf.gather(self.normal, t, axis=1)
        uniform = tf.gather(self.uniform, t, axis=1)
        kept, last = self.num_kept, tf.shape(normal)[1]
        edges = (0, kept, 2 * kept, last)
        drawn = {"dropout": uniform[:, -1]}
        for name, begin, end in zip(_USERS, edges, edges[1:]):
            drawn[name] = {
                "normal": normal[:, begin:end],
                "uniform": uniform[:, begin:end, None],
            }
        return drawn
