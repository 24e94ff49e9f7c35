"""What a prediction can write, by names that people ask for."""

import difflib
import pathlib

ALL = "all"
# Name -> what it is in the folder. `prediction.json` is always there.
FILES = {
    "masks": ("masks",),
    "overlay": ("overlay.mp4",),
    "slots": ("slots.mp4",),
    "tracks": ("tracks.csv", "tracks.json"),
    "mot": ("mot.txt",),
    "frames": ("frames.csv",),
    "latents": ("latents.npz",),
    "future": ("future.mp4", "future.npz"),
    "report": ("report.html",),
    "doubtful": ("doubtful.csv",),
}
# Where the model sees frame by frame, and where a video takes two passes.
ONE_PASS = ("masks", "overlay", "slots", "tracks", "frames", "latents")
TWO_PASSES = (
    "masks",
    "overlay",
    "tracks",
    "mot",
    "frames",
    "latents",
    "report",
    "doubtful",
)


def chosen(write):
    """What is asked for, checked and in one order.

    Args:
        write: `"all"`, or names of `FILES` as a list or with commas between.

    Returns:
        `"all"`, or a tuple of names.

    Raises:
        ValueError: If one is unknown, or there is none.

    Examples:
        >>> from tfdecomp.prediction.files import kinds
        >>> kinds.chosen("tracks, masks")
        ('masks', 'tracks')
    """
    names = write
    if isinstance(write, str):
        names = [name.strip() for name in write.split(",")]
    is_list = isinstance(names, (list, tuple, set, frozenset))
    if not is_list or not names:
        raise ValueError(f"write is {ALL} or some of {_listed()}; got {write}")
    for name in names:
        if name not in (ALL, *FILES):
            near = difflib.get_close_matches(str(name), FILES, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"nothing is written under the name {name!r:.60}; {hint}write "
                f"{ALL}, or some of {_listed()}"
            )
    if ALL in names:
        return ALL
    return tuple(name for name in FILES if name in names)


def of_a_pass(write, able, future=False) -> tuple[str, ...]:
    """What a prediction writes.

    Args:
        write: From `chosen`.
        able: `ONE_PASS` or `TWO_PASSES`, whichever the video takes.
        future: Whether frames are predicted.

    Raises:
        ValueError: If something was asked for that it does not give.
    """
    able = (*able, "future") if future else tuple(able)
    if write == ALL:
        return able
    missing = [name for name in write if name not in able]
    if missing == ["future"] and "slots" in able:
        raise ValueError(
            "write=future wants to know how many frames to predict; say so "
            "with num_future"
        )
    if missing:
        raise ValueError(
            f"this model gives no {' and no '.join(missing)} here, only "
            f"{', '.join(able)}; leave the others out of write"
        )
    return tuple(write)


def written(folder) -> list[str]:
    """Names of what lies, whole, in the folder of a prediction."""
    folder = pathlib.Path(folder)
    return [
        name
        for name, files in FILES.items()
        if all((folder / file).exists() for file in files)
    ]


def _listed():
    return ", ".join(FILES)
