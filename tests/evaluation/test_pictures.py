"""The painter draws what a model can give, and writes files that open."""

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.data.video import video_io
from tfdecomp.evaluation import pictures
from tfdecomp.evaluation.protocol import Protocol

SIZE, FRAMES = 10, 6


class Still:
    """Reconstructs its input with two slots; predicts no change."""

    num_slots = 2

    def __call__(self, inputs, training=False, num_slots=None):
        video = tf.cast(inputs["video"], tf.float32) / 255.0
        lit = tf.reduce_max(video, -1, keepdims=True)
        return {
            "recon": video,
            "masks": tf.stack([1 - lit, lit], axis=2),
            "state": video[:, -1],
        }

    def predict_frames(self, state, seed, num_frames):
        video = tf.repeat(state[:, None], num_frames, axis=1)
        lit = tf.reduce_max(video, -1, keepdims=True)
        return {"recon": video, "masks": tf.stack([1 - lit, lit], axis=2)}


class Swept(Still):
    def __call__(self, inputs, training=False, num_slots=None):
        outputs = super().__call__(inputs, training, num_slots)
        shape = [2, FRAMES, 2, 3]
        kl = tf.broadcast_to(tf.constant([0.1, 2.0, 1.0]), shape)
        return {**outputs, "slots": tf.zeros(shape), "latent_kl": kl}

    def traverse(self, inputs, slot, dims=None, values=None):
        self.asked = slot, list(dims)
        shape = (1, len(dims), len(values), SIZE, SIZE, 3)
        return tf.zeros(shape)


def _open(condition, model, batch_size):
    video = np.zeros((batch_size, FRAMES, SIZE, SIZE, 3), np.uint8)
    video[:, :, 2:4, 2:4] = 255
    yield {
        "video": video,
        "segmentation": (video[..., :1] > 0).astype(np.uint8),
        "clip_index": np.arange(batch_size),
        "valid": np.arange(batch_size) < 2,
    }


def _painter(model, **fields):
    return pictures.Painter(
        model, Protocol(**fields), trained_on="s", num_clips=3, open_clips=_open
    )


def test_the_standard_set_is_drawn_for_every_real_clip():
    drawn = _painter(Swept()).draw()
    names = {"slot_grid", "panels", "overlay", "rollout", "rollout_video"}
    names = {f"{name}_{clip}" for name in names for clip in (0, 1)}
    assert set(drawn) == names | {"traversal_0"}
    for name, picture in drawn.items():
        assert picture.dtype == np.uint8, name
        moves = name.startswith(("panels", "overlay", "rollout_video"))
        assert picture.ndim == (4 if moves else 3), name
        assert not moves or len(picture) == FRAMES


class Tracked(Still):
    """Says where the lit square is."""

    def __call__(self, inputs, training=False, num_slots=None):
        return self._located(super().__call__(inputs, training, num_slots))

    def predict_frames(self, state, seed, num_frames):
        return self._located(super().predict_frames(state, seed, num_frames))

    def _located(self, outputs):
        shape = tf.shape(outputs["recon"])[:2]
        boxes = tf.constant([[0, 0, 0, 0], [2, 2, 4, 4]], tf.float32)
        return {
            **outputs,
            "presence": tf.ones([*tf.unstack(shape), 2]),
            "boxes": tf.broadcast_to(boxes, [*tf.unstack(shape), 2, 4]),
        }


def test_tracks_are_drawn_where_a_model_gives_boxes():
    drawn = _painter(Tracked()).draw(latents=False)
    names = {"tracking_0", "tracking_1", "rollout_tracking_0"}
    assert names <= set(drawn)
    assert drawn["tracking_0"].shape == drawn["rollout_tracking_0"].shape
    orange = np.all(drawn["rollout_tracking_0"] == (213, 94, 0), axis=-1)
    np.testing.assert_array_equal(
        orange.any((1, 2)), np.arange(FRAMES) >= FRAMES // 2
    )
    assert not any("tracking" in n for n in _painter(Still()).draw())
    still = _painter(Tracked()).draw(videos=False, latents=False)
    assert not any("tracking" in name for name in still)


def test_tracks_of_masks_are_drawn_where_the_protocol_scores_them():
    drawn = _painter(Still(), tracking="auto").draw(latents=False)
    boxed = _painter(Tracked()).draw(latents=False)
    # The mask of the lit square has the very box, in the second slot.
    difference = drawn["tracking_0"] != boxed["tracking_0"]
    assert np.mean(difference) < 0.03  # the colour of the slot's number


def test_videos_and_latents_can_be_left_out():
    drawn = _painter(Swept()).draw(videos=False, latents=False)
    assert {n.rsplit("_", 1)[0] for n in drawn} == {"slot_grid", "rollout"}


def test_a_model_that_cannot_predict_has_no_rollout():
    class Blind(Still):
        predict_frames = property()

    drawn = _painter(Blind()).draw()
    assert not any("rollout" in name for name in drawn)


def test_the_object_s_slot_is_swept_with_the_largest_kl_first():
    model = Swept()
    _painter(model).draw(videos=False)
    assert model.asked == (1, [1, 2, 0])


def test_other_numbers_of_slots_are_not_swept():
    drawn = _painter(Swept(), num_slots=2).draw(videos=False)
    assert not any("traversal" in name for name in drawn)


def test_latents_that_never_move_say_least():
    slots = np.random.default_rng(0).normal(size=(2, FRAMES, 2, 3))
    slots[..., 0] = 5.0
    weight, measure = pictures.latent_weight({"slots": slots}, 0, 1)
    assert measure == "variance"
    assert weight[0] == 0.0 and np.all(weight[1:] > 0.1)


def test_files_can_be_read_back(tmp_path):
    drawn = _painter(Still()).draw()
    files = pictures.write(tmp_path / "new", drawn, prefix="step_")
    assert {f.suffix for f in files} == {".png", ".mp4", ".gif"}
    for file in files:
        assert file.name.startswith("step_")
    png = tmp_path / "new" / "step_slot_grid_0.png"
    np.testing.assert_array_equal(
        video_io.read_image(png)[..., :3], drawn["slot_grid_0"]
    )
    video, _ = video_io.read_video(tmp_path / "new" / "step_panels_0.mp4")
    assert video.shape == drawn["panels_0"].shape


@pytest.mark.parametrize("predicted", [1, 4])
def test_a_predicting_protocol_decides_where_the_prediction_starts(predicted):
    painter = _painter(
        Still(), num_frames=FRAMES - predicted, num_predicted=predicted
    )
    drawn = painter.draw(latents=False)
    orange = np.all(drawn["rollout_video_0"] == (213, 94, 0), axis=-1)
    marked = orange.any((1, 2))
    np.testing.assert_array_equal(
        marked, np.arange(FRAMES) >= FRAMES - predicted
    )
