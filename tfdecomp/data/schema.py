"""The common schema of examples: what each holds, whoever made it."""

import numpy as np

IGNORE_ID = 255  # pixels of which nothing is known


def complete(raw, config, split, index):
    """Adds what the schema wants and the simulator or reader left out.

    Args:
        raw: Dictionary with at least `video`.
        config: A `Config`.
        split: Name of the split.
        index: Number of the example within it.

    Returns:
        A full example.

    Examples:
        >>> from types import SimpleNamespace
        >>> from tfdecomp.data.schema import complete
        >>> size = {"num_frames": 2, "height": 4, "width": 4, "max_objects": 3}
        >>> config = SimpleNamespace(**size)
        >>> example = complete({"num_objects": 2}, config, "train", index=7)
        >>> example["example_id"], example["object_ids"].tolist()
        ('train/000007', [1, 2, 0])
    """
    t, k = config.num_frames, config.max_objects
    frame = (t, config.height, config.width, 1)
    count = int(raw.get("num_objects", 0))
    slots = np.arange(k, dtype=np.int32)
    defaults = {
        "segmentation": lambda: np.full(frame, IGNORE_ID, np.uint8),
        "boxes": lambda: np.zeros((t, k, 4), np.float32),
        "visibility": lambda: np.zeros((t, k), np.uint8),
        "object_ids": lambda: np.where(slots < count, slots + 1, 0),
        "frame_index": lambda: np.arange(t, dtype=np.int32),
        "index": lambda: index,
    }
    example = dict(raw)
    if not example.get("factors", True):
        del example["factors"]  # a set without any has no such feature
    for name, make in defaults.items():
        if name not in example:
            example[name] = make()
    example["object_ids"] = example["object_ids"].astype(np.int32)
    example["num_objects"] = count
    example["example_id"] = f"{split}/{index:06d}"
    return example
