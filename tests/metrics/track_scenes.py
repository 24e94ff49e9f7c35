"""Random tracks, and what a poor tracker finds of them."""

import numpy as np

FRAMES, SIDE = 8, 12.0


def scene(seed=0, clips=6, objects=5, slots=8, noise=1.5):
    """Moving boxes; found ones are shaken, lost, swapped and invented.

    Args:
        seed: Same seed, same scene.
        clips: `B`.
        objects: `L`; some are there for a part of the frames.
        slots: `K`, at least `L`.
        noise: Standard deviation in pixels of boxes of 12 pixels' side.

    Returns:
        `boxes`, `ids`, `true_boxes`, `true_ids` as in
        `tfdecomp.metrics.tracks`, places along the slots shuffled.
    """
    rng = np.random.default_rng(seed)
    times = np.arange(FRAMES)[:, None]
    start = rng.uniform(0, 40, (clips, 1, objects, 2))
    step = rng.normal(0, 2, (clips, 1, objects, 2))
    corner = start + times[:, :, None] * step
    true_boxes = np.concatenate([corner, corner + SIDE], -1)
    begin = rng.integers(0, 3, (clips, 1, objects))
    end = rng.integers(4, FRAMES + 1, (clips, 1, objects))
    there = (times >= begin) & (times < end)
    true_ids = np.where(there, np.arange(objects) + 1, 0)

    shape = (clips, FRAMES, slots)
    found = rng.uniform(0, 40, (*shape, 2))
    found[:, :, :objects] = corner + rng.normal(0, noise, corner.shape)
    boxes = np.concatenate([found, found + SIDE], -1)
    ids = np.broadcast_to(np.arange(slots) + 11, shape).copy()
    for b in range(clips):  # from some frame on two objects change names
        first, second = rng.choice(objects, 2, replace=False)
        late = slice(rng.integers(1, FRAMES), None)
        ids[b, late, [first, second]] = ids[b, late, [second, first]]
    kept = rng.random(shape) < np.where(np.arange(slots) < objects, 0.8, 0.2)
    kept[:, :, :objects] &= there | (rng.random(there.shape) < 0.1)
    ids = np.where(kept, ids, 0)
    order = rng.permuted(np.broadcast_to(np.arange(slots), shape), axis=2)
    return {
        "boxes": np.take_along_axis(boxes, order[..., None], 2),
        "ids": np.take_along_axis(ids, order, 2),
        "true_boxes": true_boxes,
        "true_ids": true_ids,
    }


def frames(tracks, clip):
    """Yields `(true ids, found ids, iou [I, J])`, one box after the other."""
    for t in range(tracks["ids"].shape[1]):
        true, found = (
            [
                (int(i), box)
                for i, box in zip(ids[clip, t], boxes[clip, t])
                if i > 0
            ]
            for ids, boxes in (
                (tracks["true_ids"], tracks["true_boxes"]),
                (tracks["ids"], tracks["boxes"]),
            )
        )
        overlaps = [[iou(a, b) for _, b in found] for _, a in true]
        overlaps = np.reshape(overlaps, (len(true), len(found)))
        yield [i for i, _ in true], [i for i, _ in found], overlaps


def iou(first, second):
    """Overlap of two boxes."""
    shared = 1.0
    for low, high in ((0, 2), (1, 3)):
        begin = max(first[low], second[low])
        shared *= max(min(first[high], second[high]) - begin, 0.0)
    area = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (first, second))
    return shared / (area - shared) if area > shared else 0.0


def in_order(tracks, clip):
    """A clip as TrackEval takes it: ids are numbers from 0."""
    rows = list(frames(tracks, clip))
    numbers = [
        {
            name: n
            for n, name in enumerate(sorted({i for r in rows for i in r[k]}))
        }
        for k in (0, 1)
    ]
    true, found = (
        [np.array([numbers[k][i] for i in row[k]], int) for row in rows]
        for k in (0, 1)
    )
    return {
        "num_timesteps": len(rows),
        "num_gt_dets": sum(map(len, true)),
        "num_tracker_dets": sum(map(len, found)),
        "num_gt_ids": len(numbers[0]),
        "num_tracker_ids": len(numbers[1]),
        "gt_ids": true,
        "tracker_ids": found,
        "similarity_scores": [row[2] for row in rows],
    }


def simple(*frames_of_boxes, ids=None):
    """One clip of equal frames `[n, 4]`, with ids 1, 2, ... or those given."""
    boxes = np.array(frames_of_boxes, float)[None]
    if ids is None:
        ids = np.broadcast_to(np.arange(boxes.shape[2]) + 1, boxes.shape[:3])
    else:
        ids = np.array(ids)[None]
    return boxes, ids


def swapped():
    """Two objects exchange ids once, halfway through eight frames."""
    boxes, true_ids = simple(*[[[0, 0, 4, 4], [10, 10, 14, 14]]] * 8)
    ids = true_ids.copy()
    ids[:, 4:] = ids[:, 4:, ::-1]
    return {
        "boxes": boxes,
        "ids": ids,
        "true_boxes": boxes,
        "true_ids": true_ids,
    }


def one_of_two():
    """Two objects in one frame, one box with an IoU of .65 with the first."""
    true_boxes, true_ids = simple([[0, 0, 20, 10], [40, 40, 50, 50]])
    boxes, ids = simple([[0, 0, 13, 10]])
    return {
        "boxes": boxes,
        "ids": ids,
        "true_boxes": true_boxes,
        "true_ids": true_ids,
    }
