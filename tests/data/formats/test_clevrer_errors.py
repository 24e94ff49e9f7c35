"""CLEVRER's files that are damaged or missing: what is said, and when."""

import shutil

import numpy as np
import pytest

from tests.data.formats.clevrer_files import (
    ANNOTATION,
    FRAMES,
    MASKS,
    PROPOSALS,
    VIDEO,
    change,
    colour,
    cut,
    decoded,
    reader,
)
from tfdecomp.data import errors
from tfdecomp.data.formats.clevrer import clevrer_layout
from tfdecomp.data.video import video_io


@pytest.fixture(name="folder")
def _fixture_folder(discs_folder, tmp_path):
    return shutil.copytree(discs_folder, tmp_path / "manual")


def _name(tree):
    tree["video_filename"] = "video_10001.mp4"


def _fewer_entries(tree):
    del tree["motion_trajectory"][-1]


def _ids(tree):
    tree["object_property"][0]["object_id"] = 7


def _material(tree):
    tree["object_property"][1]["material"] = "wood"


def _shape(tree):
    tree["object_property"][1]["shape"] = "cone"


def _field(tree):
    del tree["motion_trajectory"][5]["objects"][0]["inside_camera_view"]


def _frame_number(tree):
    tree["motion_trajectory"][5]["frame_id"] = 6


def _stranger(tree):
    tree["motion_trajectory"][5]["objects"][0]["object_id"] = 4


def _place(tree):
    tree["motion_trajectory"][5]["objects"][0]["location"] = [1, 2]


BAD_ANNOTATIONS = {
    "another video": (_name, "video_filename .*video_10000.*video_10001"),
    "fewer frames": (_fewer_entries, "motion_trajectory .*128 .*127"),
    "ids with gaps": (_ids, r"object_id .*\[0, 1, 2, 3\], got \[7, 1, 2, 3\]"),
    "unknown colour": (colour, "color .*gray.*got 'orange'"),
    "unknown material": (_material, "material .*rubber.*got 'wood'"),
    "unknown shape": (_shape, "shape .*cube.*got 'cone'"),
    "no field": (_field, "inside_camera_view"),
    "frames out of order": (_frame_number, r"\[5\].frame_id .* 5, got 6"),
    "unknown object": (_stranger, r"\[5\].object_id .*0 to 3, got 4"),
    "place of two numbers": (_place, r"\[5\].location .*3 numbers"),
}


@pytest.mark.parametrize("case", BAD_ANNOTATIONS)
def test_bad_annotations_are_named_before_anything_is_written(case, folder):
    edit, words = BAD_ANNOTATIONS[case]
    change(folder / ANNOTATION, edit)
    with pytest.raises(errors.AnnotationError, match=words) as caught:
        reader(folder).check()
    for word in (str(folder / ANNOTATION), clevrer_layout.LAYOUT):
        assert word in str(caught.value)


@pytest.mark.parametrize("path", [ANNOTATION, PROPOSALS])
def test_json_that_was_cut_is_named(path, folder):
    text = (folder / path).read_bytes()
    (folder / path).write_bytes(text[:1000])
    with pytest.raises(errors.AnnotationError, match="1,000 bytes") as caught:
        reader(folder).check()
    assert str(folder / path) in str(caught.value)


def _size(mask):
    mask["size"] = [480, 320]


def _runs(mask):
    mask["counts"] += "1"


def _character(mask):
    mask["counts"] = "!" + mask["counts"]


def _no_counts(mask):
    del mask["counts"]


BAD_MASKS = {
    "size": (_size, r"frames\[20\].*size .*\[320, 480\], got \[480, 320\]"),
    "runs": (_runs, r"frames\[20\].*counts .*expected 153600"),
    "character": (_character, r"frames\[20\].*character 0 is no number"),
    "nothing": (_no_counts, r"frames\[20\].*counts"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_bad_masks_are_named_with_the_frame(case, folder):
    edit, words = BAD_MASKS[case]
    change(
        folder / PROPOSALS,
        lambda tree: edit(tree["frames"][20]["objects"][0]["mask"]),
    )
    videos = reader(folder)
    (clip,), *_ = videos.check()
    with pytest.raises(errors.AnnotationError, match=words) as caught:
        videos.example(clip)
    for word in (str(folder / PROPOSALS), clevrer_layout.LAYOUT):
        assert word in str(caught.value)


def test_proposals_without_frames_are_refused(folder):
    change(folder / PROPOSALS, lambda tree: tree.pop("frames"))
    with pytest.raises(errors.AnnotationError, match="frames is wrong"):
        reader(folder).check()


def _write(shape):
    def damage(path):
        video_io.write_video(path, np.full((*shape, 3), 90, np.uint8), 25)

    return damage


BAD_VIDEOS = {
    "fewer frames": (
        _write((12, 320, 480)),
        errors.TruncatedError,
        "expected 128 frames, got 12",
    ),
    "cut": (cut, errors.TruncatedError, "expected 128 frames, got "),
    "smaller": (
        _write((FRAMES, 32, 48)),
        errors.ResolutionError,
        "frames of 48x32 pixels, expected 480x320",
    ),
}


@pytest.mark.parametrize("case", BAD_VIDEOS)
def test_bad_videos_are_named(case, folder):
    damage, kind, words = BAD_VIDEOS[case]
    damage(folder / VIDEO)
    videos = reader(folder)
    (clip,), *_ = videos.check()
    with pytest.raises(kind, match=words) as caught:
        videos.block("test", [clip])
    for word in (str(folder / VIDEO), clevrer_layout.LAYOUT):
        assert word in str(caught.value)


@pytest.mark.parametrize("path", [VIDEO, ANNOTATION, PROPOSALS])
def test_empty_and_missing_files_are_named_before_anything(path, folder):
    (folder / path).write_bytes(b"")
    with pytest.raises(errors.TruncatedError, match="0 bytes") as caught:
        reader(folder).check()
    assert str(folder / path) in str(caught.value)
    (folder / path).rename((folder / path).with_stem(f"{path.stem} (1)"))
    with pytest.raises(errors.MissingFileError, match="1 of 1 files") as caught:
        reader(folder).check()
    text = str(caught.value)
    for word in (
        str(path),
        f"similar names there: ['{path.stem} (1)",
        "'raycast/clevrer_like_slices345'",
        clevrer_layout.LAYOUT,
    ):
        assert word in text


def test_a_folder_that_was_not_unpacked_is_named(tmp_path):
    (tmp_path / "video_train.zip").touch()
    with pytest.raises(errors.MissingFileError) as caught:
        reader(tmp_path, "train", num_videos=4).check()
    text = str(caught.value)
    assert "4 of 4 files are missing" in text
    assert "similar names there: ['video_train.zip']" in text


def test_proposals_may_lie_in_a_folder_of_another_name(folder):
    (folder / "derender_proposals").rename(folder / "processed_proposals")
    assert len(reader(folder).check()[0]) == 1


@pytest.mark.slow
def test_masks_of_the_authors_must_be_there_and_fit(folder):
    videos = reader(folder, mask_source="author_masks")
    (clip,), *_ = videos.check()
    colours = decoded(folder / MASKS)
    video_io.write_video(folder / MASKS, colours[:40], 25)
    with pytest.raises(errors.TruncatedError, match="expected 45 .* got 40"):
        videos.example(clip)
    colours[:, 150:] = 0  # the lowest disc is gone
    video_io.write_video(folder / MASKS, colours, 25)
    with pytest.raises(errors.AnnotationError, match="3 colours .*4 objects"):
        videos.example(clip)
    (folder / MASKS).unlink()
    with pytest.raises(errors.MissingFileError, match=str(MASKS)):
        videos.check()
