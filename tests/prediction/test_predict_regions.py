"""Where to look, as numbers or as a picture."""

import base64
import json
import zlib

import numpy as np
import PIL.Image
import pytest

from tfdecomp.data.video import video_io
from tfdecomp.prediction import regions

SIZE = 40, 60


def _mask(top, left, bottom, right):
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_no_region_is_everywhere():
    assert regions.read(None, SIZE) is None


@pytest.mark.parametrize(
    "region",
    [
        (5, 10, 25, 50),
        [5.0, 10.0, 25.0, 50.0],
        np.array([5, 10, 25, 50]),
        "5,10,25,50",
        " 5, 10.0 ,25,50 ",
    ],
)
def test_a_rectangle_is_ymin_xmin_ymax_xmax(region):
    found = regions.read(region, SIZE)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, _mask(5, 10, 25, 50))


def test_parts_of_pixels_count_whole():
    found = regions.read("5.7,10.2,24.1,49.9", SIZE)
    np.testing.assert_array_equal(found, _mask(5, 10, 25, 50))


def test_the_whole_frame_is_a_rectangle_too():
    assert regions.read("0,0,40,60", SIZE).all()


@pytest.mark.parametrize("as_text", [True, False])
def test_a_picture_is_white_where_it_counts(as_text, tmp_path):
    path = tmp_path / "a, region.png"
    mask = _mask(3, 4, 30, 20)
    video_io.write_png(path, (mask * 255).astype(np.uint8))
    found = regions.read(str(path) if as_text else path, SIZE)
    np.testing.assert_array_equal(found, mask)


def test_any_bright_colour_counts(tmp_path):
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[:10] = 20, 200, 0
    picture[10:20] = 90, 90, 90
    video_io.write_png(tmp_path / "region.png", picture)
    found = regions.read(tmp_path / "region.png", SIZE)
    np.testing.assert_array_equal(found, _mask(0, 0, 10, 60))


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ("0,0,41,60", "reaches out of the frame, which has 40 rows and 60"),
        ((-1, 0, 20, 20), "reaches out of the frame"),
        ((20, 0, 10, 20), "is empty"),
        ((5, 5, 5, 20), "is empty"),
        ("1,2,3", "four numbers"),
        ("0,0,nan,20", "four numbers"),
        ((0, 0, np.inf, 20), "four numbers"),
        ((), "four numbers"),
        (7, "expected four numbers"),
        ((0, 0, "ten", 20), "expected four numbers"),
        ("nowhere.png", "neither four numbers .* nor a picture"),
        ("", "neither four numbers"),
    ],
)
def test_what_is_no_region_is_refused(region, words):
    with pytest.raises(regions.RegionError, match=words) as error:
        regions.read(region, SIZE)
    assert "\n" not in str(error.value)


def test_a_picture_of_another_size_is_refused(tmp_path):
    video_io.write_png(tmp_path / "r.png", np.full((60, 40), 255, np.uint8))
    with pytest.raises(regions.RegionError, match="r.png has 40x60.*60x40"):
        regions.read(tmp_path / "r.png", SIZE)


def test_a_black_picture_is_refused(tmp_path):
    video_io.write_png(tmp_path / "r.png", np.full(SIZE, 90, np.uint8))
    with pytest.raises(regions.RegionError, match="r.png is black"):
        regions.read(tmp_path / "r.png", SIZE)


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "r.png"
    path.write_text("no picture")
    with pytest.raises(ValueError, match="r.png") as error:
        regions.read(path, SIZE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (None, None),
        ("5,10,25,50", [5, 10, 25, 50]),
        ((5, 10, 25, 50), [5, 10, 25, 50]),
    ],
)
def test_a_rectangle_is_kept_as_its_numbers(region, expected):
    assert regions.kept(region, SIZE) == expected


def test_a_picture_is_kept_without_its_file(tmp_path):
    path = tmp_path / "arena.png"
    mask = np.random.default_rng(0).random(SIZE) > 0.5
    video_io.write_png(path, (mask * 255).astype(np.uint8))
    kept = json.loads(json.dumps(regions.kept(path, SIZE)))
    path.unlink()
    np.testing.assert_array_equal(regions.read(kept, SIZE), mask)
    assert regions.kept(kept, SIZE) == kept
    with pytest.raises(regions.RegionError, match="no mask of 40x60 pixels"):
        regions.read(kept, SIZE[::-1])


def test_a_mask_of_half_a_frame_takes_little_room(tmp_path):
    video_io.write_png(tmp_path / "r.png", np.tri(600, 800, dtype="u1") * 255)
    kept = regions.kept(tmp_path / "r.png", (600, 800))
    assert len(json.dumps(kept)) < 2000


def _packed(data):
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    "kept",
    [
        ["mask"],
        ["mask", list(SIZE), "!"],
        ["mask", list(SIZE), 7],
        ["mask", 7, _packed(b"a" * 300)],
        ["mask", list(SIZE), base64.b64encode(b"noise").decode()],
        ["mask", list(SIZE), _packed(b"a" * 299)],
        ["mask", list(SIZE), _packed(b"a" * 301)],
        ["mask", list(SIZE), _packed(b"a" * 10**7)],
        ["mask", list(SIZE), _packed(bytes(300))],  # nothing counts
    ],
)
def test_a_strangers_mask_is_one_or_refused(kept):
    with pytest.raises(regions.RegionError, match="no mask of 60x40 pixels"):
        regions.read(kept, SIZE)


def test_what_is_transparent_counts_as_black(tmp_path):
    painted = np.full((*SIZE, 4), 255, np.uint8)
    painted[..., 3] = 255 * _mask(3, 4, 20, 30)
    PIL.Image.fromarray(painted).save(tmp_path / "region.png")
    found = regions.read(tmp_path / "region.png", SIZE)
    np.testing.assert_array_equal(found, _mask(3, 4, 20, 30))
