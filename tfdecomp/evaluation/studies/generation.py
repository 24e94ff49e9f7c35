"""Scenes that a model makes up."""

import dataclasses
import inspect

import gin
import numpy as np

from tfdecomp.evaluation.studies import objects, study

_AT_ONCE = 20  # scenes; their number decides their seeds


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class Generation(study.Study):
    """Samples of the prior, and with other numbers of objects.

    No image is looked at: `dataset` and `split` are not read.

    Args:
        num_clips: Scenes to draw, of each kind.
        num_shown: Scenes that are shown.
        counts: Other numbers of objects: `(4, 5)` or `"4,5"` for equal
            shares, or number to share, `{4: 0.7, 5: 0.3}`. By default 4 and
            5, as in the LAVAE paper, where the model can; `()` for the prior
            alone.
    """

    name = "generation"

    num_clips: int | None = 200
    num_shown: int = 32
    counts: tuple | dict | str | None = None

    def look(self, subject, others):
        """Tabulates numbers of objects and draws scenes."""
        del others
        objects.require(subject, "sample_prior", "make up scenes")
        kinds = {"prior": {}}
        probs = self._count_probs(subject)
        if probs is not None:
            kinds["changed"] = {"count_probs": probs}
        found, pictures = {}, {}
        for kind, options in kinds.items():
            recon, counts = self._draw(subject, options)
            found[kind] = {
                "probabilities": _probabilities(subject.model, options),
                "drawn": _histogram(counts),
            }
            captions = None
            if counts is not None:
                captions = [
                    "1 object" if n == 1 else f"{n} objects"
                    for n in counts[: self.num_shown]
                ]
            pictures[kind] = _gallery(recon[: self.num_shown], captions)
        result = {"num_clips": self.num_clips, "kinds": found}
        return study.Findings(result, self._table(subject, found), pictures)

    def _count_probs(self, subject):
        """The other p(n) as probabilities of 0...M, or None."""
        can = inspect.signature(subject.model.sample_prior).parameters
        can = "count_probs" in can
        counts = self.counts
        if counts is None:
            most = getattr(subject.model, "max_objects", 0)
            counts = (4, 5) if can and most >= 5 else ()
        shares = read_counts(counts)
        if not shares:
            return None
        if not can:
            raise ValueError(
                f"{subject.name} cannot be asked for numbers of objects: its "
                "sample_prior takes no count_probs; leave --counts away"
            )
        most = subject.model.max_objects
        if max(shares) > most:
            raise ValueError(
                f"{subject.name} draws at most {most} objects, not "
                f"{max(shares)}; give other --counts"
            )
        return [shares.get(n, 0.0) for n in range(most + 1)]

    def _draw(self, subject, options):
        """Pictures `[N, H, W, C]` and their numbers of objects, if known."""
        recon, counts = [], []
        for start in range(0, self.num_clips, _AT_ONCE):
            size = min(_AT_ONCE, self.num_clips - start)
            # All of a size, so that fewer scenes are the first of more.
            drawn = subject.model.sample_prior(
                _AT_ONCE, seed=(self.seed, start), **options
            )
            pictures = np.asarray(drawn["recon"])[:size]
            if pictures.ndim == 5:  # videos
                pictures = pictures[:, 0]
            recon.append(pictures)
            if "presence" in drawn:
                used = np.asarray(drawn["presence"])[:size, 1:]
                counts.append(np.sum(used > objects.PRESENT, axis=1))
            subject.progress(start + size)
        counts = np.concatenate(counts) if counts else None
        return np.concatenate(recon), counts

    def _table(self, subject, found):
        title = f"{subject.name}: {self.num_clips} scenes of each kind"
        numbers = sorted(
            {
                n
                for entry in found.values()
                for part in entry.values()
                for n in part or ()
            },
            key=int,
        )
        if not numbers:
            rows = [[kind, self.num_clips] for kind in found]
            return study.table(["kind", "scenes"], rows, title)
        head = ["objects"]
        for kind in found:
            head += [f"{kind}, p(n)", f"{kind}, share drawn"]
        rows = [
            [n]
            + [
                (entry[part] or {}).get(n, None if entry[part] is None else 0.0)
                for entry in found.values()
                for part in ("probabilities", "drawn")
            ]
            for n in numbers
        ]
        return study.table(head, rows, title)


def read_counts(counts) -> dict:
    """`"4,5"`, `(4, 5)` or `{4: 1, 5: 1}` -> number to probability.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(counts, str):
        counts = [part.strip() for part in counts.split(",") if part.strip()]
    try:
        if not isinstance(counts, dict):
            counts = {int(n): 1.0 for n in counts}
        shares = {int(n): float(share) for n, share in counts.items()}
    except (TypeError, ValueError):
        shares = {-1: 0.0}
    total = sum(shares.values())
    if any(n < 0 or share < 0 for n, share in shares.items()) or (
        shares and total <= 0
    ):
        raise ValueError(
            "counts must be numbers of objects, such as 4,5, or number to "
            f"share, such as {{4: 0.5, 5: 0.5}}; got {counts!r}"
        )
    return {n: share / total for n, share in shares.items()}


def _probabilities(model, options):
    """p(n) as asked or learned, number to probability; None if unknown."""
    probs = options.get("count_probs")
    if probs is None:
        if not hasattr(model, "log_count_prior"):
            return None
        probs = np.exp(np.asarray(model.log_count_prior(), np.float64))
    return {str(n): round(float(p), 6) for n, p in enumerate(probs)}


def _histogram(counts):
    """Number of objects to its share; None if unknown."""
    if counts is None:
        return None
    shares = np.bincount(counts) / len(counts)
    return {str(n): round(float(s), 6) for n, s in enumerate(shares)}


def _gallery(recon, captions):
    from tfdecomp.visualization import scenes

    return scenes.gallery(recon, captions=captions)
