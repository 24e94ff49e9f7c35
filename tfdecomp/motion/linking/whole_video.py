"""Which detection is whom: identities over a whole video."""

import dataclasses

import numpy as np

from tfdecomp.motion.detections import FILLED, Detections, Linked
from tfdecomp.motion.linking import link_tracklets
from tfdecomp.motion.linking.link_clean import clean
from tfdecomp.motion.linking.link_episodes import episodes
from tfdecomp.motion.linking.link_known import tracks_of_known
from tfdecomp.motion.linking.link_measure import (
    SLIGHT,
    measure,
    pixels_of_one,
    tempo,
)
from tfdecomp.motion.linking.link_online import Linker, inside
from tfdecomp.motion.linking.link_unknown import tracks_of_unknown

__all__ = ["Linker", "episodes", "link"]

MODES = ("online", "motion", "offline")
DART = 1.5  # sizes that one who cannot have left may jump in a frame


def link(
    detections: list[Detections],
    *,
    num_objects: int | None = None,
    mode: str = "offline",
    foreground=None,
    frame_size: tuple[int, int] | None = None,
    max_gap: int = 25,
    album=None,
) -> list[Linked]:
    """Gives what was found in a video its identities.

    Args:
        detections: One `Detections` per frame, possibly empty ones.
        num_objects: How many identities there are, if that is known: each of
            them is then in every frame. None where objects come and go.
        mode: `"offline"` decides once more over the whole video, `"motion"`
            does so without the album; `"online"` decides frame by frame, from
            the past only.
        foreground: `t -> (mask [h, w] bool, scale)`: what differs from the
            background in frame `t`, and how many pixels of the frame one of
            the mask is. Called for the frames in which it is needed.
        frame_size: `(height, width)`, pixels; filled places stay inside.
        max_gap: Frames that a track may be unseen for where objects come and
            go. About a second.
        album: `motion.portraits.Album`: looks of single detections, which
            decide on who is who where nobody comes or goes; None: motion
            alone does.

    Returns:
        One `Linked` per frame. With `num_objects` there are fewer ids if
        never that many can be told apart.

    Raises:
        ValueError: A mode that does not exist, or a number below 1.
    """
    if mode not in MODES:
        raise ValueError(
            f"mode is {mode!r}; expected one of {', '.join(MODES)}"
        )
    if num_objects is not None and num_objects < 1:
        raise ValueError(
            f"num_objects is {num_objects}; expected at least 1, or None"
            " where objects come and go"
        )
    if mode == "online":
        linker = Linker(num_objects, max_gap=max_gap, frame_size=frame_size)
        seen = _lookup(foreground)
        return [linker.step(d, seen(t)) for t, d in enumerate(detections)]
    if mode == "motion":
        album = None
    return _offline(
        detections, num_objects, foreground, frame_size, max_gap, album
    )


def _lookup(foreground):
    if foreground is None:
        return lambda time: None
    return lambda time: lambda: foreground(time)


def _offline(detections, num_objects, foreground, frame_size, max_gap, album):
    scale = measure(detections)
    cleaned = [clean(d, scale, num_objects) for d in detections]
    frames = [c[0] for c in cleaned]
    origins = [c[1] for c in cleaned]
    scale = dataclasses.replace(scale, tempo=tempo(frames, scale))
    far = 0.0
    if num_objects is not None:
        far = DART
        areas = pixels_of_one(frames, num_objects)
        if scale.area > 0 and len(areas):
            scale = dataclasses.replace(scale, area=float(np.median(areas)))
            least = SLIGHT * float(np.median(areas[:, 0]))
            frames, origins = _without_pieces(frames, origins, least)
    tracklets = link_tracklets.build(frames, scale, far)
    scale = link_tracklets.judged(tracklets, scale)
    if num_objects is None:
        tracks = tracks_of_unknown(
            tracklets, frames, scale, max_gap, foreground, frame_size
        )
    else:
        tracks = tracks_of_known(
            tracklets,
            frames,
            scale,
            num_objects,
            max_gap,
            foreground,
            None if album is None else album.cleaned(origins),
        )
    if frame_size is not None:
        _keep_inside(tracks, frame_size)
    return tracks.linked(origins)


def _without_pieces(frames, origins, least):
    """Leaves out what holds but a piece of an object.

    Where two touch, a network may give nearly all pixels to one of them; what
    is left of the other is not where the other is.
    """
    kept = [np.flatnonzero((f.areas <= 0) | (f.areas >= least)) for f in frames]
    frames = [f.take(k) for f, k in zip(frames, kept)]
    return frames, [o[k] for o, k in zip(origins, kept)]


def _keep_inside(tracks, frame_size):
    filled = tracks.sources == FILLED
    tracks.boxes[filled] = inside(tracks.boxes[filled], frame_size)
