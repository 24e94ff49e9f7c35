"""Per-clip values of one condition, gathered batch by batch."""

import numpy as np

from tfdecomp.evaluation import latents as latents_lib
from tfdecomp.evaluation import scores as scores_lib
from tfdecomp.evaluation import tracking as tracking_lib
from tfdecomp.metrics import dynamics

_DIGITS = 6  # of stored per-clip and per-frame values
_OBJECTS = ("num_objects", "visibility", "position", "boxes")
_KEPT = ("segmentation", "entities", "clip_index", *_OBJECTS)


def observed_frames(condition, available) -> int:
    """Frames that the model sees of a clip with `available` frames."""
    if condition.num_frames is not None:
        return condition.num_frames
    return available - condition.num_predicted


class Record:
    """Scores of one condition.

    Args:
        condition: A `Protocol` without conditions of its own.
        num_groups: For a model without factors, groups into which to cut its
            latents; see `latents.Latents`.
    """

    def __init__(self, condition, num_groups=None):
        self.condition = condition
        self.num_clips = 0
        self.shape = {}
        self.scored = []  # `scores.clip_scores` of each batch
        self.observed = []  # the same of the observed frames, if predicting
        self.terms = []
        self.cosines = []
        self.latents = latents_lib.Latents(
            condition.mi_samples, condition.mi_neighbours, num_groups
        )
        self.tracking = tracking_lib.Tracking(condition)

    def add(self, batch, parts):
        """Takes one batch.

        Args:
            batch: Arrays `video`, `valid`, `clip_index` and labels, with at
                least the frames of this condition.
            parts: What the compiled step returned, as arrays: `observed` and
                `predicted`, each as `scores.summarize` returns it, and
                `num_slots`.
        """
        valid = np.asarray(batch["valid"], bool)
        kept = {
            name: np.asarray(value)[valid]
            for name, value in batch.items()
            if name in _KEPT
        }
        summaries = {
            name: {key: value[valid] for key, value in part.items()}
            for name, part in parts.items()
            if isinstance(part, dict)
        }
        for summary in summaries.values():
            _check_finite(summary, kept["clip_index"])
        self.num_clips += int(valid.sum())
        self._add_observed(batch["video"].shape, kept, summaries, parts)
        if self.condition.num_predicted:
            self._add_predicted(kept, summaries, parts)

    def _add_observed(self, shape, kept, summaries, parts):
        condition, summary = self.condition, summaries["observed"]
        count = observed_frames(condition, shape[1])
        self.shape = {
            "num_frames": count,
            "num_predicted": condition.num_predicted,
            "image_size": list(shape[2:4]),
        }
        if condition.num_slots or "num_slots" in parts:
            self.shape["num_slots"] = int(
                condition.num_slots or parts["num_slots"]
            )
        if condition.bound_samples:
            self.shape["bound_samples"] = condition.bound_samples
        scores = scores_lib.clip_scores(
            summary,
            kept.get("segmentation"),
            condition.skip_frames,
            count,
            _objects(kept),
        )
        if not condition.num_predicted:
            frames = slice(condition.skip_frames, count)
            self._add_tracks(scores, summary, kept, frames, summary)
            # A longer condition's pass may serve this one.
            observed = {
                n: v[:, :count] for n, v in summary.items() if v.ndim > 1
            }
            self._add_places(scores, [observed], kept, count)
        (self.observed if condition.num_predicted else self.scored).append(
            scores
        )
        if not condition.num_predicted and "samples" in summary:
            frames = slice(condition.skip_frames, count)
            self.latents.add(
                **{
                    n: summary[n][:, frames]
                    for n in latents_lib.READ
                    if n in summary
                }
            )
        lengths = [v.shape[1] for v in summary.values() if v.ndim > 1]
        shown = max(lengths, default=count)
        if shown == count and not condition.num_predicted:
            # Nats are sums over the clip: there are none for a part of it.
            self.terms.append(
                {k: v for k, v in summary.items() if k in scores_lib.TERMS}
            )

    def _add_predicted(self, kept, summaries, parts):
        condition, summary = self.condition, summaries["predicted"]
        count, more = condition.num_frames, condition.num_predicted
        labels = kept.get("segmentation")
        labels = None if labels is None else labels[:, count:]
        objects = _objects(kept, first=count)
        scores = scores_lib.clip_scores(summary, labels, 0, more, objects)
        self._add_tracks(
            scores,
            summary,
            kept,
            slice(0, more),
            summaries["observed"],
            first=count,
        )
        predicted = {n: v[:, :more] for n, v in summary.items() if v.ndim > 1}
        parts = [summaries["observed"], predicted]
        self._add_places(scores, parts, kept, count)
        self.scored.append(scores)

    def _add_places(self, scores, parts, kept, count):
        """Adds what places tell: velocities, and who was taken apart.

        Args:
            scores: Of the clips.
            parts: What `scores.summarize` returned of the `count` observed
                frames and, if some are predicted, of these.
            kept: Labels.
            count: Observed frames.
        """
        condition = self.condition
        if not (condition.velocity or condition.apart_distance):
            return
        names = ("position", "visibility")
        by_position = condition.centres != "segmentation"
        by_position = by_position and all(name in kept for name in names)
        names = names if by_position else ("segmentation",)
        total = count + condition.num_predicted
        found = scores_lib.object_places(
            parts,
            {name: kept[name][:, :total] for name in names},
            self.shape.get("num_slots"),
            self.shape["image_size"],
            condition.places,
        )
        self.shape["centres"] = "position" if by_position else "segmentation"
        if condition.apart_distance:
            observed = [each[:, :count] for each in found]
            scores["per_clip"]["apart"] = scores_lib.is_apart(
                *observed, condition.apart_distance
            )
        if condition.velocity:
            cosine = dynamics.place_cosine(
                *found, count, condition.velocity_shift
            )
            usable = ~np.isnan(cosine)
            # Batches may differ in the number of objects: keep sums, counts.
            self.cosines.append(
                [np.where(usable, cosine, 0.0).sum(2), usable.sum(2)]
            )

    def _add_tracks(self, scores, summary, kept, frames, observed, first=0):
        """Adds scores of tracks; the summary's first frame is `first`."""
        if self.condition.tracking is None:
            return
        background = None
        if "pred_ids" in observed:
            background = tracking_lib.background_slots(observed)
        per_clip, per_frame = self.tracking.add(
            {
                n: v[:, frames]
                for n, v in summary.items()
                if n in tracking_lib.READ
            },
            {
                n: v if v.ndim == 1 else v[:, first:][:, frames]
                for n, v in kept.items()
                if n in tracking_lib.LABELS
            },
            background,
        )
        scores["per_clip"] |= per_clip
        scores["per_frame"] |= per_frame

    def result(self) -> dict:
        """Means over clips, then by frame, then the clips' values."""
        per_clip = _join([batch["per_clip"] for batch in self.scored])
        per_clip |= _join(self.terms)
        per_frame = _join([batch["per_frame"] for batch in self.scored])
        observed = _join([batch["per_clip"] for batch in self.observed])
        result = {
            "dataset": self.condition.dataset,
            "split": self.condition.split,
            "num_clips": self.num_clips,
            **self.shape,
            **{name: _mean(v) for name, v in per_clip.items()},
            **self.tracking.result(),
            **self.latents.scores(),
        }
        if observed:
            result["observed"] = {n: _mean(v) for n, v in observed.items()}
        frames = {name: v.mean(0) for name, v in per_frame.items()}
        if self.cosines:
            sums, counts = (np.concatenate(part) for part in zip(*self.cosines))
            result["velocity_cosine"] = _ratio(sums.sum(), counts.sum())
            result["velocity_pairs"] = int(counts.sum())
            frames["velocity_cosine"] = [
                _ratio(*pair) for pair in zip(sums.sum(0), counts.sum(0))
            ]
            per_clip["velocity_cosine"] = [
                _ratio(*pair) for pair in zip(sums.sum(1), counts.sum(1))
            ]
        result["per_frame"] = {k: _rounded(v) for k, v in frames.items()}
        result["per_clip"] = {k: _rounded(v) for k, v in per_clip.items()}
        return result


def _join(batches):
    """Concatenates dictionaries of arrays along the clips."""
    names = batches[0] if batches else ()
    return {n: np.concatenate([b[n] for b in batches]) for n in names}


def _objects(kept, first=0):
    """Labels of objects from a frame on."""
    return {
        name: value if value.ndim == 1 else value[:, first:]
        for name, value in kept.items()
        if name in _OBJECTS
    }


def _mean(values):
    """A mean over the clips that have a value, or None if none has."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else None


def _ratio(total, count):
    """A mean, or None where there is nothing to average."""
    return float(total / count) if count else None


def _rounded(values):
    return [
        None if v is None or np.isnan(v) else round(float(v), _DIGITS)
        for v in values
    ]


def _check_finite(summary, clip_index):
    for name, values in summary.items():
        good = np.isfinite(values).reshape(len(values), -1).all(1)
        if not good.all():
            clip = int(clip_index[np.argmin(good)])
            raise ValueError(
                f"the model's {name} of clip {clip} is not finite; its weights "
                "are damaged or training diverged: evaluate an earlier "
                "checkpoint"
            )
