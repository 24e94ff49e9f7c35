"""Objects frame by frame: what a table of tracks holds."""

import contextlib
import csv
import dataclasses
import json

import numpy as np

from tfdecomp.data.formats import rle
from tfdecomp.prediction.files.growing_text import GrowingText
from tfdecomp.prediction.fit import UNSEEN

BACKGROUND_ID = 0
UNSEEN_ID = 255  # in mask pictures: the model did not look
_LARGEST = 254  # id that a mask picture can hold
_COLUMNS = (
    "frame",
    "time",
    "id",
    "slot",
    "ymin",
    "xmin",
    "ymax",
    "xmax",
    "area",
    "presence",
    "filled",
    "doubt",
)


@dataclasses.dataclass
class Object:
    """One object in one frame.

    Attributes:
        id: Number of its track, from 1.
        slot: The model's slot.
        box: `[4]` `(ymin, xmin, ymax, xmax)`, pixel edges of the frame.
        area: Pixels of its mask.
        mask: `[H, W]` bool.
        presence: Probability that it is there; None if the model has none.
        filled: Whether nothing was found here, and the place was filled in.
        doubt: How close another identity came, 0 to 1; None if nobody asked.
        window: Two slices that hold its mask; None: those of the frame.
    """

    id: int
    slot: int
    box: np.ndarray
    area: int
    mask: np.ndarray
    presence: float | None
    filled: bool = False
    doubt: float | None = None
    window: tuple[slice, slice] | None = None


def slot_ids(outputs, background=None) -> np.ndarray:
    """The track of each slot in one frame.

    That is the model's `track_ids` where it gives some, else the slot's
    number plus one; the background has 0.

    Args:
        outputs: Those of one frame, with `masks` `[K, h, w, 1]`.
        background: Slot of the background, if any.

    Returns:
        `[K]` int64.
    """
    if "track_ids" in outputs:
        return np.asarray(outputs["track_ids"], np.int64)
    ids = np.arange(1, len(outputs["masks"]) + 1)
    if background is not None:
        ids[background] = BACKGROUND_ID
    return ids


def id_picture(slots, ids) -> np.ndarray:
    """A map of slots as a picture of ids.

    Args:
        slots: `[H, W]` from `Fit.slots`.
        ids: `[K]` from `slot_ids`; those above 254 start at 1 again.

    Returns:
        `[H, W]` uint8; 0 is the background, 255 what the model did not see.
    """
    values = np.where(ids > _LARGEST, 1 + (ids - 1) % _LARGEST, ids)
    table = np.append(values, UNSEEN_ID).astype(np.uint8)
    return table[slots]  # UNSEEN is the last one


def find(slots, ids, outputs, fit) -> list[Object]:
    """The objects of one frame.

    An object is listed where it owns a pixel or, if the model says, where it
    is present. Its box is the model's, else the tight one of its mask.

    Args:
        slots: `[H, W]` from `Fit.slots`.
        ids: `[K]` from `slot_ids`.
        outputs: Those of the frame.
        fit: The `Fit` that leads from the model's pixels to the frame's.
    """
    presence, boxes = outputs.get("presence"), outputs.get("boxes")
    areas = np.bincount(slots.reshape(-1) - UNSEEN, minlength=len(ids) + 1)
    found = []
    for slot in np.flatnonzero(ids != BACKGROUND_ID):
        area = int(areas[slot - UNSEEN])
        is_present = presence is not None and presence[slot] > 0.5
        if not area and not is_present:
            continue
        mask = slots == slot
        if boxes is not None and is_present:
            box = fit.boxes(boxes[slot])
        else:
            box = tight_box(mask)
        found.append(
            Object(
                int(ids[slot]),
                int(slot),
                box,
                area,
                mask,
                None if presence is None else float(presence[slot]),
            )
        )
    return found


def tight_box(mask) -> np.ndarray:
    """`(ymin, xmin, ymax, xmax)` of a mask `[H, W]`; zeros if empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros(4)
    edges = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    return np.array(edges, np.float64)


class TrackFiles:
    """`tracks.csv` and `tracks.json`, written as frames come.

    A row of `tracks.csv` has the object's box, that of the model if it gives
    one. An object of which nothing is seen has a row, of area 0, if the model
    says that it is present. In `tracks.json` it has no annotation: as COCO
    wants it, `bbox`, `area` and `segmentation` are those of its pixels, while
    `box` is as in `tracks.csv` and may be larger, or end elsewhere.

    The files grow under hidden names and get their own in `close`; they then
    hold the frames up to the last `keep`.

    Args:
        folder: Where they go.
        header: JSON-able facts, `info` of the JSON file.
        video: JSON-able facts of the video: `name`, `height`, `width`.
    """

    def __init__(self, folder, header, video):
        self._table = GrowingText(folder / "tracks.csv")
        self._json = GrowingText(folder / "tracks.json")
        self._rows = csv.writer(self._table)
        self._rows.writerow(_COLUMNS)
        head = {
            "info": header,
            "categories": [{"id": 1, "name": "object"}],
        }
        text = json.dumps(head, ensure_ascii=False, default=str)
        self._json.write(text[:-1] + ',\n"annotations": [')
        self._video, self._frames, self._count = video, [], 0
        self.keep()

    def add(self, frame, objects):
        """Takes a `Frame` and its objects."""
        self._frames.append((frame.number, frame.time))
        for found in objects:
            box = [round(float(edge), 3) for edge in found.box]
            presence = found.presence
            presence = None if presence is None else round(presence, 4)
            self._rows.writerow(
                [
                    frame.number,
                    round(frame.time, 6),
                    found.id,
                    found.slot,
                    *box,
                    found.area,
                    presence,
                    int(found.filled),
                    None if found.doubt is None else round(found.doubt, 4),
                ]
            )
            if not found.area:
                continue
            self._count += 1
            entry = _annotation(frame, found, box, presence)
            entry = json.dumps({"id": self._count, **entry})
            self._json.write(("," if self._count > 1 else "") + "\n" + entry)

    def keep(self):
        """Confirms the frames that were added, see `GrowingText`."""
        self._table.keep()
        self._json.keep()
        self._num_kept = len(self._frames)

    def close(self):
        """Completes both files with the frames that were kept."""
        with contextlib.ExitStack() as closing:
            closing.callback(self._json.close, self._end())
            closing.callback(self._table.close)

    def _end(self):
        """What comes after the annotations."""
        size = {key: self._video[key] for key in ("height", "width")}
        frames = self._frames[: self._num_kept]
        images = (
            {
                "id": number,
                "video_id": 1,
                "frame": number,
                "time": round(time, 6),
                "file_name": f"masks/{mask_name(number)}",
                **size,
            }
            for number, time in frames
        )
        lines = ",".join("\n" + json.dumps(entry) for entry in images)
        video = {"id": 1, **self._video, "length": len(frames)}
        text = json.dumps([video], ensure_ascii=False)
        return f'\n],\n"images": [{lines}\n],\n"videos": {text}}}\n'


def mask_name(number):
    """File of the mask picture of a frame."""
    return f"{number:06d}.png"


def _annotation(frame, found, box, presence):
    rows, columns = found.window or (slice(0, None), slice(0, None))
    corner = np.tile([rows.start, columns.start], 2)
    edges = corner + tight_box(found.mask[rows, columns])
    ymin, xmin, ymax, xmax = edges.tolist()
    entry = {
        "image_id": frame.number,
        "video_id": 1,
        "category_id": 1,
        "frame": frame.number,
        "track_id": found.id,
        "slot": found.slot,
        "box": box,
        "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
        "area": found.area,
        "segmentation": rle.encode(found.mask, columns),
        "iscrowd": 0,
    }
    if presence is not None:
        entry["presence"] = presence
    return entry
