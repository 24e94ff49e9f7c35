"""What speaks against a fit is said in a sentence each."""

import types

import numpy as np
import pytest

from tfdecomp.fitting import doubts


def said(frames=100, seen=3.0, objects=None):
    glance = types.SimpleNamespace(num_frames=frames)
    survey = types.SimpleNamespace(count_high=seen)
    return doubts.of_video(glance, survey, objects)


def test_a_usual_video_is_none_to_doubt():
    assert said() == said(objects=3) == said(objects=4) == []


def test_a_short_video_is_said_to_be_one():
    (sentence,) = said(frames=10)
    assert "has 10 frames, and below" in sentence
    assert said(frames=doubts.FEW_FRAMES) == []


def film(*levels):
    """A glance at frames of these grey levels."""
    frames = np.array(levels, np.uint8)[:, None, None, None]
    frames = np.broadcast_to(frames, (len(levels), 4, 6, 3))
    return types.SimpleNamespace(scattered=frames, num_frames=2 * len(levels))


def test_a_light_that_goes_off_halfway_is_fatal():
    said = doubts.in_the_dark(film(*[120] * 30, *[3] * 30))
    assert "off in 50% of the frames" in said and "about frame 60" in said
    assert "about frame 0" in doubts.in_the_dark(film(*[0] * 30, *[90] * 30))


def test_other_lights_are_not():
    assert doubts.in_the_dark(film(*[120] * 50, *[60] * 50)) is None
    assert doubts.in_the_dark(film(*[120] * 80, *[3] * 10)) is None
    assert doubts.in_the_dark(film(*[5] * 60)) is None


@pytest.mark.parametrize(("seen", "objects"), [(3, 8), (1, 2), (0, 1)])
def test_more_objects_than_are_seen_are_said(seen, objects):
    (sentence,) = said(seen=seen, objects=objects)
    assert f"there are {objects} objects, and at most {seen}" in sentence
