"""What SQAIR's objects look like, and whose a pixel is."""

import tensorflow as tf

from tfdecomp.models import base
from tfdecomp.models.parts import scenes
from tfdecomp.models.parts.object_scenes import (
    merge,
    sweep_objects,
    unmerge,
    with_background,
)
from tfdecomp.ops import sprites

ABOVE_HALF = 0.5001  # of a presence that counts


class DrawnSlots(base.DecompositionModel):
    """Draws objects; `SQAIR` finds them."""

    def draw(self, selected):
        """The frames of objects: `[N, T, H, W, C]`.

        Args:
            selected: `what` `[N, T, K, A]`, `where` `[N, T, K, 4]` and
                `presence` `[N, T, K, 1]`.
        """
        pictures, boxes = self._pictures(selected)
        drawn = sprites.add_sprites(pictures, boxes, self.image_size)
        if self.mean_image:
            drawn += self.backdrop(boxes, merge(selected["presence"]))
        return unmerge(drawn, selected["what"])

    def _pictures(self, selected):
        """Sprites `[N T, K, G, G, C]` and their boxes in pixels."""
        pictures = self.decoder(merge(selected["what"]))
        pictures *= merge(selected["presence"])[..., None, None]
        return pictures, self.boxes(merge(selected["where"]))

    def boxes(self, where):
        """Boxes `(y, x, h, w)` in pixels of where, `[..., 4]`."""
        size_range = self.glimpse_encoder.size_range
        return sprites.boxes_of(where, self.image_size, size_range)

    def backdrop(self, boxes, presence):
        """The picture behind objects, as far as they show it.

        Args:
            boxes: `[N, K, 4]`, `(y, x, h, w)` in pixels.
            presence: `[N, K, 1]`.

        Returns:
            `[N, H, W, C]`; black without `mean_image`.
        """
        if not self.mean_image:
            shape = [tf.shape(boxes)[0], *self.image_size, self.channels]
            return tf.zeros(shape)
        size = [self.decoder.size] * 2 + [1]
        blank = presence[..., None, None] * tf.ones(size)
        covered = sprites.add_sprites(blank, boxes, self.image_size)
        # Next to nothing, exp(-10), where no object is.
        share = tf.sigmoid(20.0 * covered - 10.0)
        return share * tf.convert_to_tensor(self.mean_picture)

    def shown(self, selected):
        """The contract's parts of objects, the background in slot 0.

        Args:
            selected: Parts `[B, T, K, D]` as a record has them.
        """
        there = selected["presence"]
        pictures, boxes = self._pictures(selected)
        drawn = self.drawn(pictures, boxes, merge(there))
        del drawn["recon"]  # of samples in training, `call` has its own
        edges = tf.clip_by_value(
            sprites.edges_of(boxes),
            0.0,
            tf.constant([*self.image_size] * 2, tf.float32),
        )
        # Those that a sample holds for present are shown as present.
        sure = there * tf.maximum(selected["confidence"], ABOVE_HALF)
        ids = tf.cast(tf.round(selected["track_ids"][..., 0]), tf.int32)
        return {
            **{name: unmerge(value, there) for name, value in drawn.items()},
            "presence": with_background(sure, 1.0)[..., 0],
            "boxes": with_background(unmerge(edges, there) * there),
            "locations": with_background(
                unmerge(boxes, there)[..., :2] * there
            ),
            "track_ids": tf.pad(ids, [(0, 0), (0, 0), (1, 0)]),
        }

    def drawn(self, pictures, boxes, presence):
        """What is drawn, and what is whose.

        Args:
            pictures: Sprites `[N, K, G, G, C]`, zero where nothing is.
            boxes: `[N, K, 4]`, `(y, x, h, w)` in pixels.
            presence: `[N, K, 1]`.

        Returns:
            `recon` `[N, H, W, C]` clipped to [0, 1], `masks` and `components`,
            the background first.
        """
        placed = sprites.place_sprites(pictures, boxes, self.image_size)
        behind = self.backdrop(boxes, presence)
        whole = tf.reduce_sum(placed, axis=1) + behind
        return {
            "recon": tf.clip_by_value(whole, 0.0, 1.0),
            "masks": scenes.masks_of(tf.maximum(placed, 0.0)),
            "components": tf.concat([behind[:, None], placed], axis=1),
        }

    def decode(self, slots, boxes, presence):
        """Draws scenes.

        Args:
            slots: Appearances `[N, K + 1, A]`; slot 0, the background, is not
                read, here and below.
            boxes: `[N, K + 1, 4]`, edges in pixels.
            presence: `[N, K + 1]`; objects are there where it is above .5.

        Returns:
            `recon`, `masks`, `components`, by frame.
        """
        there = tf.cast(presence[:, 1:] > 0.5, tf.float32)[..., None]
        pictures = self.decoder(slots[:, 1:]) * there[..., None, None]
        low, high = boxes[:, 1:, :2], boxes[:, 1:, 2:]
        boxes = tf.concat([0.5 * (low + high), high - low], axis=-1)
        return self.drawn(pictures, boxes, there)

    def traverse(self, inputs, slot, dims=None, values=None):
        """Sweeps the appearance of one object in the last frame.

        Args:
            inputs: As for `call`.
            slot: Slot of the object, from 1; 0 is the background.
            dims: Dimensions of the appearance; all of them by default.
            values: Values to set; `linspace(-2, 2, 7)` by default.

        Returns:
            `[B, len(dims), len(values), H, W, C]`.

        Raises:
            ValueError: If there is no such object.
        """
        return sweep_objects(self, inputs, slot, dims, values)
