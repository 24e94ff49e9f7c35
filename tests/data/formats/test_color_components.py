"""Pseudo boxes: a flood fill and all assignments, pixel by pixel."""

import itertools

import numpy as np
import pytest

from tfdecomp.data.formats import color_components

RED, BLUE = (200, 0, 0), (0, 0, 200)


def paint(frames, *rectangles, size=12):
    """A clip of `(frame, box, colour)`, later in front."""
    video = np.zeros((frames, size, size, 3), np.uint8)
    for t, (top, left, bottom, right), color in rectangles:
        video[t, top:bottom, left:right] = color
    return video


def boxes_of(track):
    """Frame -> box of where a track is."""
    return {t: tuple(map(int, b)) for t, b in enumerate(track) if b.any()}


def flood(frame, color):
    """`(box, centroid)` of the components of a dilated colour."""
    height, width = frame.shape[:2]
    lit = set()
    for y, x in itertools.product(range(height), range(width)):
        if tuple(frame[y, x]) == color:
            lit |= {(y, x), (y + 1, x), (y, x + 1)}
    lit = {(y, x) for y, x in lit if y < height and x < width}
    found = []
    while lit:
        part, edge = set(), [min(lit)]
        while edge:
            y, x = edge.pop()
            if (y, x) in lit:
                lit.remove((y, x))
                part.add((y, x))
                edge += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        low, high = np.min(list(part), 0), np.max(list(part), 0) + 1
        found.append(((*low, *high), np.mean(list(part), 0)))
    return found


def best(before, now):
    """Pairs `(before, now)` that move least in sum, of all there could be."""
    swap = len(before) > len(now)
    few, many = (now, before) if swap else (before, now)

    def moved(way):
        return sum(np.linalg.norm(few[i] - many[j]) for i, j in enumerate(way))

    ways = itertools.permutations(range(len(many)), len(few))
    pairs = enumerate(min(ways, key=moved))
    return [(j, i) if swap else (i, j) for i, j in pairs]


def slow_tracks(video):
    """All tracks, each as frame -> box."""
    out = []
    for color in {tuple(p) for p in video.reshape(-1, 3)} - {(0, 0, 0)}:
        before = []
        for t, frame in enumerate(video):
            found = flood(frame, color)
            pairs = best([c for _, c, _ in before], [c for _, c in found])
            old = {j: before[i][2] for i, j in pairs}
            before = []
            for j, (box, centroid) in enumerate(found):
                if j not in old:
                    out.append({})
                    old[j] = out[-1]
                old[j][t] = tuple(map(int, box))
                before.append((box, centroid, old[j]))
    return sorted(sorted(track.items()) for track in out)


@pytest.mark.parametrize("seed", range(6))
def test_random_clips_have_the_tracks_of_a_flood_fill_and_all_assignments(seed):
    rng = np.random.default_rng(seed)
    rectangles = []
    for t in range(4):
        for color in (RED, BLUE):
            for _ in range(rng.integers(6)):
                corner = rng.integers(12, size=2)
                box = *corner, *(corner + rng.integers(1, 4, size=2))
                rectangles.append((t, box, color))
    video = paint(4, *rectangles)
    found = [boxes_of(t) for t in color_components.tracks(video).swapaxes(0, 1)]
    assert sorted(sorted(t.items()) for t in found) == slow_tracks(video)


def test_dilation_joins_what_one_pixel_parts_and_ends_at_the_frame():
    video = paint(1, (0, (2, 2, 4, 3), RED), (0, (2, 4, 4, 5), RED))
    (track,) = color_components.tracks(video).swapaxes(0, 1)
    assert boxes_of(track) == {0: (2, 2, 5, 6)}
    corner = paint(1, (0, (10, 11, 12, 12), RED))
    (track,) = color_components.tracks(corner).swapaxes(0, 1)
    assert boxes_of(track) == {0: (10, 11, 12, 12)}


def test_colours_are_exact_and_never_linked_to_each_other():
    nearly = (200, 0, 1)
    video = paint(2, (0, (2, 2, 4, 4), RED), (1, (2, 2, 4, 4), nearly))
    first, second = color_components.tracks(video).swapaxes(0, 1)
    assert (boxes_of(first).keys(), boxes_of(second).keys()) == ({0}, {1})


def test_a_track_that_ends_is_not_taken_up_again():
    video = paint(3, (0, (2, 2, 4, 4), RED), (2, (2, 2, 4, 4), RED))
    first, second = color_components.tracks(video).swapaxes(0, 1)
    assert (boxes_of(first).keys(), boxes_of(second).keys()) == ({0}, {2})


def test_black_clips_have_no_track():
    boxes = color_components.tracks(paint(3))
    assert boxes.shape == (3, 0, 4) and boxes.dtype == np.float32
