"""What all studies share: whom they ask, and in what form they answer."""

import dataclasses
import datetime
import os
import pathlib
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from tfdecomp.evaluation import results, runner, tables
from tfdecomp.evaluation import scores as scores_lib
from tfdecomp.evaluation.protocol import Protocol

USED = 0.002  # share of the pixels that makes a slot count as used
SCORES = ("f_ari", "ari", "mse", "nll", "kl", "slots_used")


@dataclasses.dataclass
class Subject:
    """A trained model and the images that it can be asked about.

    Args:
        model: The `DecompositionModel`.
        open_clips: As `evaluation.clips.opener` returns it.
        trained_on: Dataset it was trained on.
        name: What to call it; by default its class.
        run: Where its weights come from.
        pictures: From `evaluation.clips.picture_arguments`.
        batch_size: Images at a time. Changes no result.
        progress: Called with the number of images done, now and then.
    """

    model: object
    open_clips: Callable
    trained_on: str | None = None
    name: str | None = None
    run: dict | None = None
    pictures: dict = dataclasses.field(default_factory=dict)
    batch_size: int = 8
    progress: Callable = lambda done: None

    def __post_init__(self):
        self.name = self.name or type(self.model).__name__
        self._forward = {}

    def batches(self, condition, labels=(), **changes):
        """Yields `(batch, inputs)`: arrays, and what the model reads of them.

        Args:
            condition: A `Protocol` without conditions of its own.
            labels: More labels, see `evaluation.clips`.
            **changes: Arguments of `data.make_dataset`. What the config says
                of `without` and `only` does not hold here.

        Raises:
            ValueError: If there is no image.
        """
        settings = {**self.pictures, "without": None, "only": None, **changes}
        done = 0
        for batch in self.open_clips(
            condition, self.model, self.batch_size, labels=labels, **settings
        ):
            yield batch, runner.model_inputs(condition, batch)
            done += int(np.sum(batch["valid"]))
            self.progress(done)
        if not done:
            chosen = {k: v for k, v in changes.items() if v is not None}
            raise ValueError(
                f"{condition.dataset}:{condition.split} has no image for "
                f"{chosen or 'this study'}; take another --split or --dataset"
            )

    def forward(self, condition):
        """The compiled forward pass of `runner`; compiled once."""
        key = condition.num_slots, condition.num_refinements
        if key not in self._forward:
            self._forward[key] = runner.compile_forward(self.model, condition)
        return self._forward[key]

    def describe(self) -> dict:
        """The model as it stands in results."""
        return {
            "model": self.name,
            "trained_on": self.trained_on,
            "run": self.run,
        }


@dataclasses.dataclass
class Findings:
    """What a study found.

    Args:
        result: As JSON can hold it.
        table: Markdown.
        pictures: Name to a picture `[h, w, 3]` or a video `[T, h, w, 3]`,
            uint8; the name is added to the study's, "" adds nothing.
    """

    result: dict
    table: str
    pictures: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Study:
    """Base of the studies: which images are looked at.

    A subclass implements `look(subject, others)`, which returns `Findings`.

    Args:
        dataset: TFDS name; by default the set the model was trained on.
        split: Split of the set.
        num_clips: Images to take, from the first; None for all.
        seed: Seed of the model's noise; each image folds in its number.
    """

    name: ClassVar[str] = "study"

    dataset: str | None = None
    split: str = "test"
    num_clips: int | None = 320
    seed: int = 0

    def condition(self, subject, **changes) -> Protocol:
        """The protocol of one pass over images."""
        fields = {
            "name": self.name,
            "dataset": self.dataset,
            "split": self.split,
            "num_clips": self.num_clips,
            "num_frames": 1,
            "seed": self.seed,
            **changes,
        }
        (condition,) = Protocol(**fields).expand(subject.trained_on)
        return condition

    def run(self, subject, others=()) -> Findings:
        """Does the study; its result says all that made it.

        Args:
            subject: The `Subject`.
            others: Further ones to compare with, if the study does.
        """
        begin = datetime.datetime.now(datetime.UTC)
        findings = self.look(subject, others)
        spent = datetime.datetime.now(datetime.UTC) - begin
        findings.result = {
            "study": self.name,
            "settings": dataclasses.asdict(self),
            **subject.describe(),
            **findings.result,
            "created": begin.isoformat(timespec="seconds"),
            "seconds": round(spent.total_seconds(), 1),
        }
        return findings


def image_scores(subject, condition, labels=(), **changes) -> dict:
    """Scores of every image.

    Args:
        subject: A `Subject`.
        condition: A `Protocol` without conditions of its own.
        labels: More labels, see `evaluation.clips`.
        **changes: Arguments of `data.make_dataset`.

    Returns:
        Name to `[N]`: what the model allows of `SCORES`, and `num_objects`
        and the other labels.
    """
    forward = subject.forward(condition)
    labels = ("num_objects", *labels)
    parts = []
    for batch, inputs in subject.batches(condition, labels, **changes):
        found = forward(inputs)["observed"]
        found = {name: np.asarray(value) for name, value in found.items()}
        scores = scores_lib.clip_scores(found, batch.get("segmentation"))
        scores = scores["per_clip"]
        scores |= {n: found[n] for n in SCORES if n in found and n != "mse"}
        if "pred_ids" in found:
            scores["slots_used"] = slots_used(found["pred_ids"])
        scores |= {name: batch[name] for name in labels}
        parts.append({k: v[batch["valid"]] for k, v in scores.items()})
    return join(parts)


def slots_used(ids) -> np.ndarray:
    """Slots that own more than `USED` of the pixels: `[B, ...]` -> `[B]`."""
    flat = np.asarray(ids).reshape(len(ids), -1)
    numbers = np.arange(flat.max(initial=0) + 1)
    shares = (flat[..., None] == numbers).mean(1)  # [B, K]
    return (shares > USED).sum(1).astype(np.float64)


def means(scores, chosen=slice(None)) -> dict:
    """Means of the `SCORES` over the chosen images."""
    return {n: float(scores[n][chosen].mean()) for n in SCORES if n in scores}


def quartiles(values) -> dict:
    """`low`, `middle`, `high` quartile and `mean` over the first axis."""
    low, middle, high = np.percentile(values, [25, 50, 75], axis=0)
    parts = {"low": low, "middle": middle, "high": high}
    parts["mean"] = np.mean(values, axis=0)
    return {name: value.tolist() for name, value in parts.items()}


def join(parts) -> dict:
    """Concatenates dictionaries of arrays."""
    return {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}


def cell(value) -> str:
    """A value as it stands in a table."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)


def table(head, rows, title="") -> str:
    """A Markdown table of values.

    Args:
        head: Titles of the columns.
        rows: Lists of values.
        title: Line above it.
    """
    lines = [[cell(value) for value in row] for row in rows]
    body = tables.render(list(map(str, head)), lines)
    return f"{title}\n\n{body}" if title else body


def write(folder, name, findings) -> list[pathlib.Path]:
    """Writes `NAME.json`, `NAME.md` and the pictures and videos.

    Args:
        folder: Where to; made if missing.
        name: Of the study.
        findings: Its `Findings`.

    Returns:
        The files.
    """
    from tfdecomp.evaluation import pictures

    folder = pathlib.Path(os.path.expanduser(folder))
    files = [
        results.write(folder / f"{name}.json", findings.result),
        results.write_text(folder / f"{name}.md", findings.table),
    ]
    named = {
        "_".join(filter(None, [name, part])): picture
        for part, picture in findings.pictures.items()
    }
    return files + pictures.write(folder, named)
