"""What pictures of factors show, read back from their pixels."""

import numpy as np

from tfdecomp.visualization import factors, palette, plots

SIZE, FRAMES = 6, 5
SEEN, VARIED = (128, 128, 128), (213, 94, 0)


def _video(*values):
    """Frames of one grey value each."""
    return np.stack([np.full((SIZE, SIZE, 1), v, np.float32) for v in values])


def _colors(picture):
    return {tuple(c) for c in picture.reshape(-1, 3).tolist()}


def _corner(picture, rows, columns, row, column):
    """Pixel in the middle of a cell of 12, counted from the right and below."""
    y = picture.shape[0] - 16 * (rows - row) + 4 + 6
    x = picture.shape[1] - 16 * (columns - column) + 4 + 6
    return picture[y, x]


def test_versions_are_rows_of_frames_with_a_bar_where_they_differ():
    grey = np.linspace(0.2, 1.0, FRAMES)
    rows = {"one": _video(*grey), "two": _video(*grey[::-1])}
    picture = factors.versions(rows, 2, min_side=12)
    assert picture.dtype == np.uint8
    for t in range(FRAMES):
        here = _corner(picture, 2, FRAMES, 0, t)
        assert here.tolist() == [round(255 * grey[t])] * 3
        here = _corner(picture, 2, FRAMES, 1, t)
        assert here.tolist() == [round(255 * grey[-1 - t])] * 3
        x = picture.shape[1] - 16 * (FRAMES - t) + 10
        assert tuple(picture[17, x]) == (SEEN if t < 2 else VARIED)


def test_few_frames_of_a_long_clip_are_shown():
    rows = {"one": _video(*np.linspace(0, 1, 40))}
    few = factors.versions(rows, 2, max_frames=4, min_side=12)
    many = factors.versions(rows, 2, max_frames=40, min_side=12)
    assert many.shape[1] - few.shape[1] == 36 * 16


def test_a_video_has_the_versions_side_by_side():
    grey = np.linspace(0.2, 1.0, FRAMES)
    row = {"one": _video(*grey), "two": _video(*grey[::-1])}
    video = factors.versions_video({"a": row, "b": row}, 2, min_side=12)
    assert video.dtype == np.uint8 and video.shape[0] == FRAMES
    assert all(side % 2 == 0 for side in video.shape[1:3])
    for t, frame in enumerate(video):
        for line in range(2):
            here = [_corner(frame, 2, 2, line, c)[0] for c in range(2)]
            expected = [round(255 * grey[t]), round(255 * grey[-1 - t])]
            assert here == expected
        bar = VARIED if t >= 2 else SEEN
        assert (bar in _colors(frame[17:18])) and len(frame) > 18


def test_change_is_shown_in_its_own_colour_and_nothing_else_is():
    video = np.zeros((FRAMES, SIZE, SIZE, 3), np.float32)
    ids = np.zeros((FRAMES, SIZE, SIZE), np.uint8)
    ids[1, :, :3] = 1
    ids[2:] = 2
    moving = np.zeros((2, FRAMES, SIZE, SIZE, 3), np.float32)
    moving[0, 2:, ..., 0] = 0.5
    moving[1, :2] = 0.7  # the frames that are shared are not compared
    moving[1, 1:, ..., 1] = 1.0
    moving[1, 1:, ..., [0, 2]] = 0.0
    picture = factors.changes(video, ids, moving, ["a", "b"], min_side=12)
    cells = [[_corner(picture, 2, 3, r, c) for c in range(3)] for r in range(2)]
    assert cells[0][0].tolist() == [0, 0, 0]
    assert cells[0][1].tolist() == [128, 0, 0]
    # Rests of mean squared change: 0.5 is the largest of all columns.
    assert cells[1][1].tolist() == [255, 0, 0]
    assert cells[1][2].tolist() == [0, 0, 0]
    painted = palette.paint_ids(ids[1:2])[0]
    assert _colors(painted) <= _colors(picture)
    assert tuple(palette.slot_colors(3)[1]) not in _colors(picture)


def test_a_video_that_stands_still_has_no_change():
    video = np.zeros((FRAMES, SIZE, SIZE, 3), np.float32)
    ids = np.zeros((FRAMES, SIZE, SIZE), np.uint8)
    moving = np.full((1, FRAMES, SIZE, SIZE, 3), 0.4)
    picture = factors.changes(video, ids, moving, ["a"], min_side=12)
    assert _corner(picture, 2, 2, 1, 1).tolist() == [0, 0, 0]


def test_heat_maps_are_white_at_zero_red_above_and_blue_below():
    matrix = np.zeros((12, 12))
    matrix[1, 9], matrix[9, 1] = 1.0, -1.0
    picture = plots.heat_maps({"": (matrix, 6)}, ["f", "g"], ("later", "now"))
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    shown = picture[:, : int(0.8 * picture.shape[1])].astype(int)  # no scale
    red, green, blue = np.moveaxis(shown, -1, 0)
    places = {
        "red": np.argwhere((red > 80) & (green < 20) & (blue < 60)),
        "blue": np.argwhere((red < 30) & (green < 70) & (blue > 80)),
    }
    sides = {k: np.ptp(v, axis=0) + 1 for k, v in places.items()}
    assert all(len(v) == sides[k].prod() for k, v in places.items())
    way = places["blue"].mean(0) - places["red"].mean(0)
    np.testing.assert_allclose(way, 8 * sides["red"] * [1, -1], rtol=0.1)


def test_small_heat_maps_have_numbers_in_their_cells():
    names, axes = ["f", "g"], ("later", "now")
    seen = [
        plots.heat_maps({"": (values, 1)}, names, axes)
        for values in (np.eye(2), np.array([[1.0, 0.004], [0, 1]]))
    ]
    np.testing.assert_array_equal(*seen)  # 0.00 is written
    other = plots.heat_maps(
        {"": (np.array([[1.0, 0.02], [0, 1]]), 1)}, names, axes
    )
    assert np.any(np.any(other != seen[0], -1).sum() > 10)
