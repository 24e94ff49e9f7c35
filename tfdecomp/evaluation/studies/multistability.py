"""Several explanations of one ambiguous image."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation import scores as scores_lib
from tfdecomp.evaluation.studies import study
from tfdecomp.metrics import partitions, rand_index

_SIDES = {28: "ambiguous28", 21: "ambiguous21", 14: "ambiguous14"}
_DRAWN = 8  # groups in the picture
_LISTED = 16  # groups in the table


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class Multistability(study.Study):
    """Many runs on one image, grouped up to relabelling (figure 10 of IODINE).

    Runs differ in the seed of the samples alone. Two segmentations belong
    together if their ARI over all pixels reaches the threshold; groups are
    the connected components of that relation.

    Args:
        dataset: By default the ambiguous Tetrominoes of the model's size.
        num_clips: Runs of the model.
        image: Number of the image in the split.
        threshold: Of the ARI between runs.
    """

    name = "multistability"

    num_clips: int | None = 100
    image: int = 0
    threshold: float = 0.9

    def look(self, subject, others):
        """Runs, groups, draws; also runs one seed twice."""
        del others
        condition = self.condition(
            subject,
            dataset=self.dataset or _ambiguous(subject.model),
            num_clips=self.image + 1,
        )
        video, true = self._picture(subject, condition)
        runs = self._sample(subject, video, np.arange(self.num_clips or 100))
        groups = partitions.group(runs["ids"], self.threshold)
        again = self._sample(subject, video, np.zeros(2, int))
        rows = [
            self._row(runs, true, np.flatnonzero(groups == g))
            for g in range(groups.max() + 1)
        ]
        result = {
            "protocol": {**condition.describe(), "num_clips": 1},
            "image": self.image,
            "num_runs": len(groups),
            "num_groups": len(rows),
            "one_seed_gives_one_result": bool(
                all(np.array_equal(v[0], v[1]) for v in again.values())
            ),
            "groups": rows,
        }
        pictures = {"": _draw(video, true, runs, rows)}
        if "parameters" in runs:
            pictures["paths"] = _paths(runs, rows)
        return study.Findings(result, self._table(subject, result), pictures)

    def _picture(self, subject, condition):
        """The image `[H, W, C]` and its labels `[H, W]`."""
        last = None
        for batch, _ in subject.batches(condition):
            last = batch
        chosen = np.flatnonzero(
            (last["clip_index"] == self.image) & last["valid"]
        )
        if not len(chosen):
            raise ValueError(
                f"{condition.dataset}:{condition.split} has no image "
                f"{self.image}; take a smaller --image"
            )
        n = chosen[0]
        return last["video"][n, 0], last["segmentation"][n, 0, ..., 0]

    def _sample(self, subject, video, numbers):
        """What the model says of the image for each of these seeds."""
        import tensorflow as tf

        model = subject.model
        has_history = hasattr(model, "refinement_history")

        @tf.function(autograph=False, reduce_retracing=True)
        def step(inputs):
            if not has_history:
                outputs = model(inputs, training=False)
                return scores_lib.summarize(inputs["video"], outputs) | {
                    "recon": outputs["recon"]
                }
            outputs = model.refinement_history(inputs)
            last = {n: outputs[n][:, -1:] for n in ("recon", "masks")}
            return {
                **scores_lib.summarize(inputs["video"], last),
                "recon": last["recon"],
                "nll": outputs["nll_by_step"][:, -1],
                "kl": outputs["kl_by_step"][:, -1],
                "parameters": outputs["parameters"],
            }

        parts, size = [], subject.batch_size
        for start in range(0, len(numbers), size):
            some = np.resize(numbers[start : start + size], size)
            seeds = np.stack([np.full(size, self.seed), some], 1)
            found = step(
                {
                    "video": tf.repeat(video[None, None], size, 0),
                    "seed": tf.constant(seeds, tf.int32),
                }
            )
            count = min(size, len(numbers) - start)
            parts.append({k: np.asarray(v)[:count] for k, v in found.items()})
            subject.progress(start + count)
        runs = study.join(parts)
        if "pred_ids" not in runs:
            raise ValueError(f"{subject.name} gives no masks to compare")
        runs["ids"] = runs.pop("pred_ids")[:, -1]
        return runs

    @staticmethod
    def _row(runs, true, members):
        chosen = partitions.representative(runs["ids"], members)
        ids = runs["ids"][chosen]
        counts = rand_index.contingency(true[None, None], ids[None, None])
        return {
            "runs": len(members),
            "share": len(members) / len(runs["ids"]),
            "example": chosen,
            "f_ari": float(rand_index.ari_of_table(counts, True)[0, 0]),
            "slots_used": float(study.slots_used(ids[None])[0]),
            **{
                n: float(np.mean(runs[n][members]))
                for n in ("mse", "nll", "kl")
                if n in runs
            },
        }

    def _table(self, subject, result):
        rows = result["groups"]
        shown = [n for n in ("mse", "nll", "kl") if n in rows[0]]
        head = ["group", "runs", "F-ARI to the labels", "slots used", *shown]
        lines = [
            [
                f"{n + 1}",
                f"{row['runs']} ({row['share']:.0%})",
                row["f_ari"],
                row["slots_used"],
                *(row[name] for name in shown),
            ]
            for n, row in enumerate(rows[:_LISTED])
        ]
        if len(rows) > _LISTED:
            rest = sum(row["runs"] for row in rows[_LISTED:])
            name = f"{_LISTED + 1} to {len(rows)}"
            lines.append([name, str(rest)] + [None] * (len(head) - 2))
        one = "one result" if result["one_seed_gives_one_result"] else "two"
        return study.table(
            head,
            lines,
            f"{subject.name} on image {self.image} of "
            f"{result['protocol']['dataset']}: {result['num_runs']} runs in "
            f"{len(rows)} groups; one seed, run twice, gives {one}",
        )


def _ambiguous(model):
    """The set of ambiguous images of the model's size."""
    height, width = model.image_size
    if height != width or height not in (35, *_SIDES):
        raise ValueError(
            f"there are ambiguous Tetrominoes of sides 35, "
            f"{', '.join(map(str, _SIDES))}, but the model reads "
            f"{height}x{width}; name a set with --dataset"
        )
    return f"tetrominoes/{_SIDES.get(height, 'ambiguous')}"


def _draw(video, true, runs, rows):
    """The image, its labels, then an example of each group."""
    from tfdecomp.visualization import canvas, palette

    rows = rows[:_DRAWN]
    cells = [[canvas.to_uint8(video)], [palette.paint_ids(true[None])[0]]]
    labels = ["image", "labels"]
    for n, row in enumerate(rows):
        ids = runs["ids"][row["example"]]
        background = int(np.bincount(ids.ravel()).argmax())
        colors = palette.slot_colors(ids.max() + 1, background)
        recon = canvas.to_uint8(runs["recon"][row["example"], -1])
        cells.append([recon, colors[ids]])
        labels.append(f"{n + 1}: {row['share']:.0%}")
    cells[:2] = [[cells[0][0], cells[1][0]]]
    labels[:2] = ["image, labels"]
    columns = [[canvas.enlarge(cell) for cell in column] for column in cells]
    return canvas.grid(list(zip(*columns)), labels)


def _paths(runs, rows):
    """PCA of lambda: the ends of all runs, the paths of the examples."""
    from tfdecomp.visualization import plots

    parameters = runs["parameters"]  # [N, R + 1, K, 2 Z]
    flat = parameters.reshape(*parameters.shape[:2], -1)
    ends = flat[:, -1]
    _, _, axes = np.linalg.svd(ends - ends.mean(0), full_matrices=False)
    placed = (flat - ends.mean(0)) @ axes[:2].T  # [N, R + 1, 2]
    backgrounds = np.array(
        [np.bincount(i.ravel()).argmax() for i in runs["ids"]]
    )
    examples = [row["example"] for row in rows[:_DRAWN]]
    return plots.trajectories(
        placed[:, -1],
        backgrounds,
        [f"background in slot {k}" for k in range(backgrounds.max() + 1)],
        {f"{n + 1}": placed[e] for n, e in enumerate(examples)},
    )
