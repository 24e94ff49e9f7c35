"""First pass over a video: what a model finds in every frame."""

import collections
import contextlib
import dataclasses

import numpy as np
from scipy import ndimage

from tfdecomp.data import errors
from tfdecomp.motion.detections import Detections
from tfdecomp.prediction.memory import FrameMaps

WEAK = 0.1  # presence from which on a slot may continue a track
# What moves and belongs to no object is one by itself, but not a sure one.
UNEXPLAINED = 0.6
# Share of its box that one thing fills; several that touch leave more free.
_FULL, _FULLER = 0.5, 0.6
_TOGETHER = 0.75  # share of the box around them that parts of one thing fill
_KNOWN = 3  # frames by itself after which a track is one of a thing
_ALONE = 0.8  # share of a blob that a slot owns which has it to itself
_EXPLAINED = 0.3  # share of a blob that objects own where it is explained
_CHUNK_BYTES = 2**29  # of masks that a model makes at once
_COPIES = 24  # bytes for each pixel of each mask: several floats
_EMPTY = 0.02  # share of a box that must differ from the background


@dataclasses.dataclass
class Found:
    """What the first pass left.

    Attributes:
        numbers: `[T]` numbers of the frames in the source.
        times: `[T]` seconds.
        detections: One `Detections` per frame, in pixels of the frame.
        slots: Per frame the slot of each detection.
        maps: `FrameMaps` with `owner` `[h, w]`, 0 or the slot that owns a
            pixel, and `foreground` `[h, w]` bool, in pixels of the fine view;
            perhaps with `portraits`, `portrayed`, the numbers of their
            detections, and `clear`, whether nobody else is near.
        baseline: The same as `detections` by background subtraction, where
            there is a scene.
        errors: `[T]` mean distance between what the model saw and drew, of
            what moves; NaN where there is none.
        explained: `[T]` share of the moving pixels that objects own; NaN.
        full: `[T]` bool, no slot was free.
        num_slots: `K`.
        end: None, or the error at which the source ended early.
    """

    numbers: list
    times: list
    detections: list
    slots: list
    maps: FrameMaps
    baseline: list
    errors: list
    explained: list
    full: list
    num_slots: int
    end: Exception | None = None

    def __len__(self):
        return len(self.numbers)


class Finder:
    """Runs a model over a video and keeps what it finds.

    Args:
        stream: A `Stream` that gives `owner`, `boxes` and `presence`.
        view: The `View` by which it sees frames.
        length: Frames at a time.
        scratch: Folder whose disk the maps go to.
        joins: Whether what is one piece, and fills its box, is one object
            rather than several that touch: where nobody knows how many there
            are. Slots of difference pictures then have no looks.
        portraitist: `motion.portraits.Portraitist` of what stands alone;
            None: no portraits are taken.
    """

    def __init__(
        self,
        stream,
        view,
        length=32,
        scratch=None,
        joins=False,
        portraitist=None,
    ):
        self.stream, self.view = stream, view
        self.portraitist = portraitist
        self.joins = joins
        self._alone = collections.Counter()  # frames, by the model's number
        slots = stream.num_slots or stream.model.num_slots
        own = getattr(stream, "slots_at_once", slots)
        size = _COPIES * own * int(np.prod(view.size))
        self.length = int(np.clip(_CHUNK_BYTES // size, 1, length))
        empty = ([] for _ in range(4))
        self.found = Found(
            [], [], [], [], FrameMaps(scratch), *empty, num_slots=slots
        )

    def run(self, frames, show=None):
        """Yields the number of frames done, chunk by chunk.

        Args:
            frames: Iterable of `Frame`s; of one that ends early what came
                before counts, and `found.end` has the error.
            show: Called with frame, picture and outputs of each.
        """
        chunk = []
        with contextlib.closing(frames):
            try:
                for frame in frames:
                    chunk.append((frame, *self.view.see(frame.pixels)))
                    if len(chunk) == self.length:
                        self._take(chunk, show)
                        chunk = []
                        yield len(self.found)
            except errors.DatasetInputError as error:
                self.found.end = error
        if chunk:
            self._take(chunk, show)
            yield len(self.found)

    def _take(self, chunk, show):
        outputs = self.stream(np.stack([picture for _, picture, _ in chunk]))
        for t, (frame, picture, moving) in enumerate(chunk):
            here = {name: value[t] for name, value in outputs.items()}
            self._keep(frame, picture, moving, here)
            if show is not None:
                show(frame, picture, here)

    def _keep(self, frame, picture, moving, outputs):
        found, fine = self.found, self.view.fine
        owner = self.view.to_fine(outputs["owner"])
        boxes = self.view.fine_boxes(outputs["boxes"])
        foreground = None
        if moving is not None:
            foreground = moving.labels > 0
            owner = _parted(owner * foreground, moving.labels)
        presence = outputs["presence"].copy()
        presence[0] = 0  # the background
        self._judge(picture, foreground, owner, outputs)
        if moving is not None and self.joins:
            owner = _released(owner, moving)
            owner, presence = self._joined(
                owner, presence, moving, outputs["track_ids"]
            )
            presence = _of_what_moves(owner, presence)
            presence = _of_own_things(owner, moving, presence)
        found.full.append(bool((presence[1:] > 0.5).all()))
        (slots,) = np.nonzero(presence > WEAK)
        if moving is not None:
            owner, extra = _unexplained(owner, moving, len(presence))
            slots = np.concatenate([slots, len(presence) + np.arange(extra)])
            presence = np.append(presence, np.full(extra, UNEXPLAINED))
            boxes = np.concatenate([boxes, np.zeros((extra, 4))])
        areas = _areas(owner, foreground, boxes, slots)
        if foreground is not None:
            boxes = _tight(owner, boxes)
        detections = Detections(
            boxes=fine.boxes(boxes[slots]),
            scores=presence[slots],
            areas=areas * np.prod(fine.frame_size) / np.prod(fine.size),
            features=self._looks(outputs, presence)[slots],
            numbers=np.append(
                outputs["track_ids"], np.zeros(len(presence), int)
            )[slots],
        )
        found.numbers.append(frame.number)
        found.times.append(frame.time)
        found.detections.append(detections)
        found.slots.append(slots)
        maps = {"owner": _small_type(owner), "foreground": foreground}
        if self.portraitist is not None:
            taken = self.portraitist.take(
                len(found) - 1,
                frame.pixels,
                owner,
                moving.labels,
                detections.boxes,
                slots,
            )
            maps |= dict(zip(("portraits", "portrayed", "clear"), taken))
        found.maps.add(**maps)
        if moving is not None:
            found.baseline.append(self._blobs(moving))

    def _looks(self, outputs, presence):
        """`[n, D]` appearances of slots; D is 0 where they tell nobody apart.

        Of a difference picture a slot tells how its neighbours cut into it,
        which changes as they meet: misleading where objects come and go.
        """
        features = outputs.get("slots")
        if features is None or self.joins and self.view.shows_difference:
            return np.zeros((len(presence), 0))
        return _padded(features, presence)

    def _joined(self, owner, presence, moving, numbers):
        """Makes one object of the parts of what is one thing.

        What is larger than the model's largest box, and than nearly all other
        things, comes in parts, and is taken from the model. What one box
        could hold, and fills it, is the object that has most of it; but
        tracks that each had a thing to themselves before are as many objects
        that have met.
        """
        largest = getattr(self.stream.model, "largest_box", None)
        fine = self.view.fine
        least = fine.scene.large_area
        if largest is None or least is None or not len(moving):
            return owner, presence
        largest = largest * fine.size[0] / self.view.size[0]
        sides = moving.boxes[:, 2:] - moving.boxes[:, :2]
        filled = moving.areas / sides.prod(-1)
        is_large = sides.max(-1) > largest
        whole = is_large & (moving.areas > least) & (filled > _FULL)
        single = ~is_large & (filled > _FULLER)
        owner, presence = owner.copy(), presence.copy()
        total = np.bincount(owner.ravel(), minlength=len(presence))
        for n, place in enumerate(ndimage.find_objects(moving.labels)):
            inside = moving.labels[place] == n + 1
            part = owner[place]
            counts = np.bincount(part[inside], minlength=len(presence))
            counts[0] = 0
            here = np.flatnonzero(counts > 0.5 * np.maximum(total, 1))
            if len(here) == 1:
                self._alone[int(numbers[here[0]])] += 1
            if whole[n]:
                kept, heir = here[:0], 0
            elif single[n] and len(here) > 1:
                kept = [k for k in here if self._is_known(numbers[k])]
                if not kept:
                    kept = [here[np.argmax(counts[here])]]
                heir = max(kept, key=lambda k: counts[k])
            else:
                continue
            gone = np.setdiff1d(here, kept)
            presence[gone] = 0
            part[inside & ~np.isin(part, kept)] = heir
        return owner, presence

    def _is_known(self, number):
        """Whether a track had a thing to itself before."""
        return number > 0 and self._alone[int(number)] >= _KNOWN

    def _judge(self, picture, foreground, owner, outputs):
        moving = slice(None)
        if foreground is not None:
            moving = self.view.from_fine(foreground)
        error = explained = np.nan
        if foreground is None or foreground.any():
            if "recon" in outputs:
                away = np.abs(outputs["recon"] - np.float32(picture) / 255)
                error = float(away[moving].mean())
            if foreground is not None:
                explained = float((owner[foreground] > 0).mean())
        self.found.errors.append(error)
        self.found.explained.append(explained)

    def _blobs(self, blobs):
        """What background subtraction finds."""
        count = len(blobs)
        return Detections(
            boxes=self.view.fine.boxes(blobs.boxes),
            scores=np.ones(count),
            areas=blobs.areas,
            features=np.zeros((count, 0)),
            numbers=np.zeros(count),
        )


def _parted(owner, labels):
    """Takes from every slot what lies in another slot's thing.

    What nothing joins in the picture is not one object, if somebody else is
    there to have it: a mask that leaks onto a neighbour would be a box around
    both.

    Args:
        owner: `[h, w]` slots.
        labels: `[h, w]` things, 0 for none.
    """
    things, slots = int(labels.max()) + 1, int(owner.max()) + 1
    counts = _shared(owner, labels, things, slots)
    counts[:, 0] = 0
    home = counts.argmax(0)
    at_home = home[None] == np.arange(things)[:, None]
    heir = np.where(at_home, counts, 0).argmax(1)
    table = np.tile(np.arange(slots), (things, 1))
    stray = (counts > 0) & ~at_home & (heir > 0)[:, None]
    if not stray.any():
        return owner
    table[stray] = np.broadcast_to(heir[:, None], table.shape)[stray]
    return table[labels, owner].astype(owner.dtype)


def _shared(owner, labels, things, slots):
    """`[things, slots]` pixels of each thing that a slot owns; none of 0.

    Args:
        owner: `[h, w]` slots, below `slots`.
        labels: `[h, w]` things, below `things`; 0 for none.
    """
    places = np.flatnonzero(labels)
    joint = labels.ravel()[places].astype(np.int64) * slots
    joint += owner.ravel()[places]
    counts = np.bincount(joint, minlength=things * slots)
    return counts.reshape(things, slots)


def _released(owner, moving):
    """Takes from every slot things that lie far apart from its largest one.

    Parts of an object that something hides lie close together: their boxes
    fill the box around them. Those of two objects that one slot took leave
    much of it free; nobody has those then, so that they are objects.
    """
    things, slots = len(moving) + 1, int(owner.max()) + 1
    counts = _shared(owner, moving.labels, things, slots)[1:]
    mostly = counts > 0.5 * moving.areas[:, None]
    gone = np.zeros((things, slots), bool)
    for slot in 1 + np.flatnonzero(mostly[:, 1:].sum(0) > 1):
        things = np.flatnonzero(mostly[:, slot])
        home = things[counts[things, slot].argmax()]
        for other in things[things != home]:
            boxes = moving.boxes[[home, other]]
            around = boxes[:, 2:].max(0) - boxes[:, :2].min(0)
            filled = (boxes[:, 2:] - boxes[:, :2]).prod(-1).sum()
            gone[other + 1, slot] = filled < _TOGETHER * around.prod()
    if not gone.any():
        return owner
    return np.where(gone[moving.labels, owner], 0, owner)


def _of_what_moves(owner, presence):
    """Presences without those of slots that own nothing.

    A model guesses where something was; where nothing moves any more that
    would be a box on nothing, and where nobody knows how many there are, one
    too many.

    Args:
        owner: `[h, w]` slots of what moves, 0 for none.
        presence: `[K]` of slots.
    """
    owned = np.bincount(owner.ravel(), minlength=len(presence)) > 0
    return np.where(owned, presence, 0)


def _of_own_things(owner, moving, presence):
    """Presences, of what has a thing to itself at least `UNEXPLAINED`.

    What is only just in view is hardly present to a model; it is no less sure
    than if no slot had explained it.

    Args:
        owner: `[h, w]` slots, 0 for none.
        moving: `Blobs`.
        presence: `[K]` of slots.
    """
    things, slots = len(moving) + 1, len(presence)
    counts = _shared(owner, moving.labels, things, slots)[1:]
    alone = (counts > _ALONE * moving.areas[:, None]).any(0)
    alone[0] = False
    return np.where(alone, np.maximum(presence, UNEXPLAINED), presence)


def _unexplained(owner, moving, num_slots):
    """Makes objects of what moves and no slot explains.

    Returns:
        `(owner [h, w], how many)`; they have the slots from `num_slots` on.
    """
    labels, count = moving.labels, len(moving)
    if not count:
        return owner, 0
    owned = np.bincount(labels[owner > 0], minlength=count + 1)[1:]
    left = np.flatnonzero(owned < _EXPLAINED * moving.areas)
    if not len(left):
        return owner, 0
    table = np.zeros(count + 1, np.int32)
    table[1 + left] = num_slots + np.arange(len(left))
    extra = table[labels]
    return np.where(extra > 0, extra, owner), len(left)


def _padded(features, presence):
    """Appearances `[n, D]`, the mean of those present where there is none."""
    extra = len(presence) - len(features)
    present = presence[1 : len(features)] > 0.5
    usual = np.zeros(features.shape[1], features.dtype)
    if present.any():
        usual = features[1:][present].mean(0)
    return np.concatenate([features, np.tile(usual, (extra, 1))])


def _areas(owner, foreground, boxes, slots):
    """Pixels of each object that differ from the background.

    One whose mask misses them but whose box does not has those in its box
    that nobody owns.
    """
    counts = np.bincount(owner.ravel(), minlength=len(boxes))[slots]
    areas = counts.astype(float)
    if foreground is None:
        return areas
    free = foreground & (owner == 0)
    for n in np.flatnonzero(counts == 0):
        top, left, bottom, right = boxes[slots[n]]
        part = free[
            int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))
        ]
        if part.size and part.mean() > _EMPTY:
            areas[n] = part.sum()
    return areas


def _tight(owner, boxes):
    """Boxes around what each slot owns of what moves.

    A model's own box is that of its sprite, with room around the object. What
    owns nothing keeps it.
    """
    boxes = np.array(boxes, np.float64)
    found = ndimage.find_objects(owner)
    for slot, place in enumerate(found, 1):
        if place is not None and slot < len(boxes):
            rows, columns = place
            boxes[slot] = rows.start, columns.start, rows.stop, columns.stop
    return boxes


def _small_type(owner):
    return owner.astype(np.uint8 if owner.max() < 256 else np.int32)
