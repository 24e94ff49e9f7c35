"""A video with its decomposition beside it, frame by frame."""

import numpy as np

from tfdecomp.visualization import canvas, overlays, palette


def video_panels(
    video,
    recon=None,
    masks=None,
    segmentation=None,
    background=None,
    with_overlay=False,
    min_side=2 * canvas.MIN_SIDE,
) -> np.ndarray:
    """Frames of input | true | reconstruction | masks | overlay.

    What is not given has no panel.

    Args:
        video: `[T, H, W, C]`, uint8 or floating point in `[0, 1]`.
        recon: `[T, H, W, C]`.
        masks: `[T, K, H, W, 1]`.
        segmentation: `[T, H, W]` or `[T, H, W, 1]` true labels.
        background: Slot painted grey; by default the largest one.
        with_overlay: Whether to add the masks painted over the video.
        min_side: Smaller pictures are enlarged to at least this.

    Returns:
        `[T, h, w, 3]` uint8 with even sides, ready for a video writer.
    """
    panels = {"input": canvas.to_uint8(video)}
    if segmentation is not None:
        panels["true"] = palette.paint_ids(segmentation)
    if recon is not None:
        panels["reconstruction"] = canvas.to_uint8(recon)
    if masks is not None:
        panels["masks"] = palette.paint_masks(masks, background)
    panels = {k: canvas.enlarge(v, min_side) for k, v in panels.items()}
    if masks is not None and with_overlay:
        panels["overlay"] = overlays.overlay(
            video, masks, background, min_side=min_side
        )
    return np.stack(
        [
            canvas.grid([[panel[t] for panel in panels.values()]], list(panels))
            for t in range(len(video))
        ]
    )
