"""One object that moves while all else stays."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation.studies import objects, study


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class LocationTraversal(study.Study):
    """Moves one object along its row, its column and over a grid.

    Images in which no object is found are passed over.

    Args:
        num_clips: Images to show.
        slot: Slot of the object, from 1; by default the first object found.
        num_places: Places along a row and along a column.
        num_rows: Rows and columns of the grid.
    """

    name = "location_traversal"

    num_clips: int | None = 4
    slot: int | None = None
    num_places: int = 9
    num_rows: int = 5

    def look(self, subject, others):
        """Draws the lines and the grid of each image."""
        del others
        objects.require(subject, "move", "move an object")
        condition = self.condition(
            subject, num_clips=objects.patient(self.num_clips)
        )
        least = self.slot or 1
        pictures, entries = {}, []
        for number, inputs, outputs, _ in objects.pick(
            subject, condition, self.num_clips, least=least
        ):
            slots = objects.in_use(outputs, 0)
            slot = int(slots[0]) if self.slot is None else self.slot
            place = outputs["locations"][0, -1, slot]
            entries.append(
                {
                    "image": number,
                    "objects": len(slots),
                    "slot": slot,
                    "location": place.tolist(),
                }
            )
            for name, picture in self._draw(subject, inputs, slot, place):
                pictures[f"{number}_{name}"] = picture
        result = {"protocol": condition.describe(), "images": entries}
        table = study.table(
            ["image", "objects found", "slot", "where it was (y, x)"],
            [
                [*list(entry.values())[:3], "{:.1f}, {:.1f}".format(*place)]
                for entry in entries
                for place in [entry["location"]]
            ],
            f"{subject.name} on {condition.dataset}",
        )
        return study.Findings(result, table, pictures)

    def _draw(self, subject, inputs, slot, place):
        """Yields `lines` and `grid`."""
        from tfdecomp.visualization import scenes

        size = subject.model.image_size
        rows, columns = (_spread(side, self.num_places) for side in size)
        lines = {
            "its row": [(place[0], x) for x in columns],
            "its column": [(y, place[1]) for y in rows],
        }
        drawn = {
            name: np.asarray(subject.model.move(inputs, slot, points))[0]
            for name, points in lines.items()
        }
        yield "lines", scenes.compare(drawn)
        rows, columns = (_spread(side, self.num_rows) for side in size)
        points = [(y, x) for y in rows for x in columns]
        moved = np.asarray(subject.model.move(inputs, slot, points))[0]
        yield "grid", scenes.gallery(moved, self.num_rows)


def _spread(side, count):
    """Centres of pixels from the first to the last one."""
    return np.floor(np.linspace(0, side - 1, count)) + 0.5
