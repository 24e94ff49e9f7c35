"""What is chosen from a video: scale, background, slots; and why."""

import dataclasses

import numpy as np

from tfdecomp.motion import background as background_lib
from tfdecomp.motion import scene as scene_lib
from tfdecomp.motion import survey as survey_lib
from tfdecomp.prediction import looking, regions
from tfdecomp.prediction.view import View

# The length that a typical object should have in what the model sees. Its
# boxes are at most an anchor long, and sprites of ten pixels show no more.
_TYPICAL, _LONGEST = 0.75, 0.95  # of the anchor
_ENLARGED = 3.0  # no picture shows more than the camera saw
_MOST_PIXELS = 700_000  # of a picture
_COARSE = 0.7  # of the pixels that were looked at; outlines then need more
_LARGE = 2.0  # of the area that nine of ten objects keep within
_SPARE = 1.5  # slots for each object that is seen at a time
_MOST_SEEN = 200  # objects at a time that there are slots for, unless asked
_LARGEST = 2**25  # pixels of a picture that anyone may ask for


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a user knows of a video; None is found out.

    Args:
        size: `"native"`, `(h, w)` or a factor on the frame.
        region: `[H, W]` bool, where to look.
        min_area: Least pixels of an object, in the frame.
        max_area: Most pixels.
        objects: How many objects there are.
        object_size: Length of an object in pixels of the frame.
    """

    size: object = None
    region: np.ndarray | None = None
    min_area: float | None = None
    max_area: float | None = None
    objects: int | None = None
    object_size: float | None = None


def asked(options, frame_size) -> Asked:
    """What `runner.Options` say of a video with frames of this size.

    Raises:
        RegionError: If the region does not fit.
    """
    return Asked(
        size=options.size,
        region=regions.read(options.region, frame_size),
        min_area=options.min_area,
        max_area=options.max_area,
        objects=options.objects,
        object_size=options.object_size,
    )


@dataclasses.dataclass
class Choice:
    """What was chosen.

    Attributes:
        view: The `View`, with its scene.
        num_slots: `K`, one for the background.
        survey: The `motion.survey.Survey` that it follows from, in pixels of
            the glance.
        facts: `(name, value, how it was found)` in words.
        problems: `(kind, sentence)` of what is wrong with the video.
        scale: Pixels of the picture for one of the frame.
    """

    view: View
    num_slots: int
    survey: object
    facts: list
    problems: list
    scale: float = 1.0


def choose(glance, asked, anchor=None, scale=None, shows_difference=True):
    """Chooses from a `looking.Glance`.

    Args:
        glance: The frames that were looked at.
        asked: `Asked`.
        anchor: Side in pixels of the largest box of the model; None: it has
            no largest.
        scale: Pixels of the picture for one of the frame, if that is settled
            already.
        shows_difference: Whether the model sees differences.

    Returns:
        `Choice`.

    Raises:
        ValueError: If pictures would be far too large.
    """
    reduced = glance.size[0] / glance.frame_size[0]  # at which it was seen
    region = _resized(asked.region, glance.size)
    ground = background_lib.estimate(glance.scattered)
    survey = survey_lib.survey(
        survey_lib.Samples(glance.scattered, glance.runs),
        background=ground,
        levels=glance.levels,
        region=region,
        object_size=asked.object_size and asked.object_size * reduced,
        num_objects=asked.objects,
        min_area=asked.min_area and asked.min_area * reduced**2,
        max_area=asked.max_area and asked.max_area * reduced**2,
    )
    how = "asked for" if scale is None else "as in training"
    if scale is None:
        scale = _asked_scale(asked.size, glance.frame_size)
    if scale is None:
        scale, how = _scale(survey, reduced, anchor, glance.frame_size)
    if scale**2 * np.prod(glance.frame_size) > _LARGEST:
        raise ValueError(
            f"pictures {scale:g} times as large as the frames have more than "
            f"{_LARGEST:,} pixels; lower size"
        )
    size = looking.scaled(glance.frame_size, scale)
    scene = _scene(glance, ground, survey, size, region, asked)
    fine = None
    # Where the number is known, parts that the model makes of one object would
    # be told apart too well, and take the places of others.
    is_coarse = np.prod(size) < _COARSE * np.prod(glance.size)
    if is_coarse and asked.objects is None:
        fine = View(
            glance.frame_size,
            glance.size,
            scene=_fitting(survey, survey.background, glance, region, asked),
        )
    view = View(
        glance.frame_size,
        size,
        scene=scene,
        shows_difference=shows_difference,
        fine=fine,
    )
    seen = max(survey.count_high, survey.num_objects)
    seen = asked.objects or min(seen, _MOST_SEEN)  # snow is no crowd
    num_slots = 1 + int(np.ceil(_SPARE * seen)) + 2
    facts = _facts(glance, survey, view, num_slots, asked, reduced, how)
    problems = list(survey.problems)
    return Choice(view, num_slots, survey, facts, problems, scale)


def _resized(region, size):
    """A mask `[H, W]` at another size, by the nearest pixel."""
    if region is None:
        return None
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(region.shape, size)
    )
    return region[np.ix_(rows, columns)]


def _asked_scale(size, frame_size):
    if size is None:
        return None
    if size == "native":
        return 1.0
    if isinstance(size, (int, float)):
        return float(size)
    return min(new / old for new, old in zip(size, frame_size))


def _scale(survey, reduced, anchor, frame_size):
    """`(scale, why)` at which objects have the size that the model knows."""
    most = (_MOST_PIXELS / np.prod(frame_size)) ** 0.5
    if anchor is None:
        return min(1.0, looking.SIDE / max(frame_size)), "as looked at"
    typical = survey.length[1] / reduced
    # Few are longer; they come in parts, which are joined again.
    long = (survey.length[2] * survey.length[3]) ** 0.5 / reduced
    scale = min(_TYPICAL * anchor / typical, _LONGEST * anchor / long)
    why = "objects are as large as the model knows them"
    if scale > min(most, _ENLARGED):
        return min(most, _ENLARGED), "as large as is worth it"
    return scale, why


def _scene(glance, ground, survey, size, region, asked):
    """The `Scene` at the size of the model's pictures.

    Its background is `ground`, that of the glance, where both have one size.
    """
    small = glance.scattered
    if size != glance.size:
        view = View(glance.size, size)
        small = np.stack([view.small(frame) for frame in small])
        ground = background_lib.estimate(small)
    scene = _fitting(survey, ground, glance, region, asked)
    return dataclasses.replace(scene, gain=_gain(scene, small))


def _fitting(survey, background, glance, region, asked):
    """A `Scene` of the size of a background, with what the survey found."""
    size = background.size
    factor = (np.prod(size) / np.prod(glance.size)) ** 0.5
    ratio = np.prod(size) / np.prod(glance.frame_size)
    least = max(1.0, survey.min_area * factor**2)
    if asked.min_area:
        least = max(1.0, asked.min_area * ratio)
    most = asked.max_area and asked.max_area * ratio
    looked = _resized(region, size)
    if survey.ignore.any():
        kept = ~_resized(survey.ignore, size)
        looked = kept if looked is None else looked & kept
    return scene_lib.Scene(
        background,
        gain=survey.gain,
        length=survey.length[1] * factor,
        width=survey.width[1] * factor,
        min_area=least,
        max_area=most,
        large_area=_LARGE * survey.area[2] * factor**2,
        region=looked,
        follows_light=True,
        cuts_bridges=asked.objects is None,
    )


def _gain(scene, frames):
    """Difference of a typical object at this size."""
    levels = []
    for frame in frames:
        difference = scene.difference(frame)
        blobs = scene.blobs(difference)
        if len(blobs):
            inside = difference[blobs.labels > 0]
            levels.append(np.quantile(inside, 0.8))
    return float(np.median(levels)) if levels else scene.gain


def _facts(glance, survey, view, num_slots, asked, reduced, how):
    height, width = view.size
    length = survey.length[1] / reduced
    own = "asked for"
    return [
        ("frame", "{1}x{0}".format(*glance.frame_size), "of the video"),
        (
            "frames",
            f"{glance.num_frames}, {glance.rate:.4g} a second",
            "of the video",
        ),
        (
            "object size",
            f"{length:.0f} px",
            own if asked.object_size else "the median of what moves",
        ),
        (
            "objects",
            f"{asked.objects or survey.count:.3g} at a time",
            own if asked.objects else "the median over frames",
        ),
        (
            "speed",
            f"{survey.speed[0] / reduced:.1f} px a frame",
            "the median between frames",
        ),
        ("the model sees", f"{width}x{height}", how),
        ("slots", f"{num_slots - 1}", "half as many again, and two"),
    ]
