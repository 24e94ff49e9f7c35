"""What speaks against a fit: said before it begins, in a sentence each."""

import math

import numpy as np

# The ground is the middle of what is seen at a place, once things have moved
# on; with fewer frames than this, much of what is found is where one was.
FEW_FRAMES = 30
_DARK, _LEAST_DARK = 0.25, 0.3  # of the light of the brightest, and of frames
_TOGETHER = 1.5  # times as many objects as are seen apart may well be there


def in_the_dark(glance):
    """A sentence if nothing can be seen in much of a video, which is fatal.

    Args:
        glance: A `prediction.looking.Glance`.
    """
    grey = glance.scattered.mean((1, 2, 3))
    dark = grey < _DARK * np.quantile(grey, 0.9)
    if dark.mean() < _LEAST_DARK:
        return None
    first = round(np.argmax(dark) / len(dark) * glance.num_frames)
    return (
        f"the light is off in {dark.mean():.0%} of the frames, the first time "
        f"at about frame {first}, and nothing can be followed there; cut the "
        "video to where it is on"
    )


def of_video(glance, survey, objects=None) -> list[str]:
    """Sentences about a video.

    Args:
        glance: A `prediction.looking.Glance`.
        survey: The `motion.survey.Survey` of it.
        objects: How many objects the user says there are; None: nobody did.
    """
    found = [_of_length(glance.num_frames), _of_number(survey, objects)]
    return [sentence for sentence in found if sentence]


def _of_length(count):
    if count >= FEW_FRAMES:
        return None
    return (
        f"the video has {count} frames, and below {FEW_FRAMES} the ground may "
        "be wrong wherever something rests: objects are missed, or found where "
        "they were; bring more frames if you have them"
    )


def _of_number(survey, objects):
    """Whether many more objects are asked for than are ever seen apart."""
    seen = math.ceil(survey.count_high)
    if objects is None or objects <= _TOGETHER * seen:
        return None
    return (
        f"you say that there are {objects} objects, and at most {seen} are "
        f"seen apart in a frame: the tracks of the others will be made up; "
        f"leave --objects out, or give the number that is there"
    )
