"""Tracks for other people's tools: the text of MOTChallenge."""

import pathlib

import numpy as np

from tfdecomp.prediction.files.growing_text import GrowingText

NAME = "mot.txt"


class MotFile:
    """`mot.txt`, written as frames come.

    A row for each box: frame, id, bb_left, bb_top, bb_width, bb_height, conf,
    -1, -1, -1. MOTChallenge counts frames and pixels from 1, we from 0: a
    frame's number is one more than in `tracks.csv` (of the video as it is,
    also where only some of its frames are kept), and so are left and top. The
    first pixel alone, `[0, 0, 1, 1]` here, is `1,1,1,1` there; width and
    height are the same. `conf` is the presence, 1 where the model has none.
    Objects without a box have no row.

    The file grows under a hidden name and gets its own in `close`; it then
    holds the frames up to the last `keep`.

    Args:
        folder: Where it goes.

    References:
        Milan et al., MOT16: A Benchmark for Multi-Object Tracking. 2016.
    """

    def __init__(self, folder):
        self._file = GrowingText(pathlib.Path(folder) / NAME)

    def add(self, frame, objects):
        """Takes a `Frame` and its objects."""
        for found in objects:
            ymin, xmin, ymax, xmax = np.asarray(found.box, np.float64)
            if ymax <= ymin or xmax <= xmin:
                continue
            box = (xmin + 1.0, ymin + 1.0, xmax - xmin, ymax - ymin)
            numbers = ",".join(f"{round(side, 3):.10g}" for side in box)
            presence = 1.0 if found.presence is None else found.presence
            self._file.write(
                f"{frame.number + 1},{found.id},{numbers},"
                f"{round(presence, 4):.10g},-1,-1,-1\n"
            )

    def keep(self):
        """Confirms the frames that were added, see `GrowingText`."""
        self._file.keep()

    def close(self):
        """Completes the file with the frames that were kept."""
        self._file.close()
