"""Pictures of videos in which one factor moves while the others stand."""

import numpy as np

from tfdecomp.visualization import canvas, palette

_SEEN = (128, 128, 128)
_VARIED = (213, 94, 0)


def versions(
    rows, num_shared, max_frames=20, min_side=canvas.MIN_SIDE
) -> np.ndarray:
    """Versions of a video, one below the other; columns are frames.

    Columns of the frames that differ have an orange bar, the others a grey
    one.

    Args:
        rows: Name of a version to its frames `[T, H, W, C]`.
        num_shared: Frames from which on the versions differ.
        max_frames: Frames to show, spread evenly over the clip.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[h, w, 3]` uint8.
    """
    videos = [canvas.to_uint8(video) for video in rows.values()]
    keep = canvas.spread(len(videos[0]), max_frames)
    labels = [(f"t={t}", _color(t, num_shared)) for t in keep]
    cells = [list(canvas.enlarge(video[keep], min_side)) for video in videos]
    return canvas.grid(cells, labels, list(rows))


def versions_video(rows, num_shared, min_side=canvas.MIN_SIDE) -> np.ndarray:
    """Versions of a video side by side, in rows.

    Args:
        rows: Name of a row to `{name of a column: [T, H, W, C]}`, the columns
            being the same in every row.
        num_shared: Frames from which on the versions differ; these have an
            orange bar.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[T, h, w, 3]` uint8 with even sides, ready for a video writer.
    """
    cells = [
        [canvas.enlarge(canvas.to_uint8(v), min_side) for v in row.values()]
        for row in rows.values()
    ]
    names = list(next(iter(rows.values())))
    frames = []
    for t in range(len(cells[0][0])):
        labels = [(name, _color(t, num_shared)) for name in names]
        here = [[video[t] for video in row] for row in cells]
        frames.append(canvas.grid(here, labels, list(rows)))
    return np.stack(frames)


def changes(
    video, ids, moving, captions, base_frame=1, min_side=canvas.MIN_SIDE
) -> np.ndarray:
    """Where things move: all frames at once, above what changes in them.

    The first column has the true video above the labels of the frame that is
    varied; each further one a video in which something moves above the root
    of its mean squared change, by channel, the largest one of all columns
    being brightest.

    Args:
        video: `[T, H, W, C]`.
        ids: `[T, H, W]` true labels.
        moving: `[N, T, H, W, C]` videos.
        captions: A text for each of the `N`.
        base_frame: Frame of `moving` that the others are compared with.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[h, w, 3]` uint8.
    """
    moving = np.asarray(moving)
    change = moving[:, base_frame + 1 :] - moving[:, base_frame, None]
    change = np.sqrt(np.square(change).mean(1))
    change = canvas.to_uint8(change / max(change.max(), 1e-6))
    labels = palette.paint_ids(np.asarray(ids)[base_frame, None])[0]
    rows = [
        [canvas.to_uint8(video).max(0), *canvas.to_uint8(moving).max(1)],
        [labels, *change],
    ]
    rows = [[canvas.enlarge(cell, min_side) for cell in row] for row in rows]
    names = ["all frames", f"labels t={base_frame}, change"]
    return canvas.grid(rows, ["input", *captions], names)


def _color(frame, num_shared):
    return _VARIED if frame >= num_shared else _SEEN
