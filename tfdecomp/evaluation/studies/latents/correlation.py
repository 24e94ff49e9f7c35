"""Which latents go with which ones a frame later."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation.studies import study
from tfdecomp.evaluation.studies.latents import factored
from tfdecomp.metrics import mutual_information


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class Correlation(study.Study):
    """Heat maps of latents at t against those at t + 1 (DVIP, figure 2).

    Pearson's correlation of posterior samples, latent by latent, and mutual
    information of whole factors in bits; the latter also sees what is not
    linear, as transitions of many layers are. An entangled model's latents
    are ordered by the partition that its mutual information is reported of,
    the best of 20 random ones.

    Args:
        num_clips: Clips to take pairs of frames from; by default all.
        num_frames: Frames of each clip; by default all there are.
        num_pairs: Pairs to take, the last ones.
        neighbours: Of the estimate of mutual information.
    """

    name = "correlation"

    num_clips: int | None = None
    num_frames: int | None = None
    num_pairs: int = 1000
    neighbours: int = mutual_information.NEIGHBOURS

    def look(self, subject, others):
        """Tabulates factors and draws both maps."""
        del others
        condition = self.condition(subject, num_frames=self.num_frames)
        found = factored.gather(
            subject, condition, self.num_pairs, self.neighbours
        )
        known = factored.information(found)
        order, bits = known["order"], known["matrix"] * mutual_information.BITS
        before, after = (
            found.pairs[:, i].reshape(len(found.pairs), -1)[:, order]
            for i in range(2)
        )
        matrix = correlations(before, after)
        result = {
            "protocol": condition.describe(),
            "num_pairs": len(before),
            "num_groups": len(bits),
            "random_partition": found.num_groups is not None,
            "order": order.tolist(),
            "correlation": matrix.tolist(),
            "mutual_information": bits.tolist(),  # row t + 1, column t
            **_blocks(matrix, len(bits)),
            "mi_same": float(known["same"] * mutual_information.BITS),
            "mi_cross": _number(known["cross"] * mutual_information.BITS),
            "collapsed_latents": found.scores()["collapsed_latents"],
        }
        # As the paper: rows are time t, columns t + 1.
        pictures = {"": _draw(matrix, bits.T, found.num_groups is None)}
        return study.Findings(result, _table(subject, result), pictures)


def correlations(before, after) -> np.ndarray:
    """Pearson's correlation of all pairs of columns.

    Args:
        before: `[N, Z]`, the rows.
        after: `[N, Z]`, the columns.

    Returns:
        `[Z, Z]`; 0 where a column does not vary.
    """
    normed = []
    for values in (before, after):
        values = np.asarray(values, np.float64)
        values = values - values.mean(0)
        length = np.linalg.norm(values, axis=0)
        normed.append(values / np.where(length > 0, length, np.inf))
    return normed[0].T @ normed[1]


def _blocks(matrix, num_groups):
    """Means of absolute correlations in the blocks of groups, and beside."""
    group = np.repeat(np.arange(num_groups), len(matrix) // num_groups)
    own = group[:, None] == group
    inside = float(np.abs(matrix)[own].mean())
    found = {"inside": inside, "outside": None, "ratio": None}
    if num_groups > 1:
        found["outside"] = float(np.abs(matrix)[~own].mean())
        found["ratio"] = inside / max(found["outside"], 1e-12)
    return found


def _number(value):
    return float(value) if np.isfinite(value) else None


def _table(subject, result):
    kind = "group" if result["random_partition"] else "factor"
    rows = [
        ["mean absolute correlation, latent by latent"]
        + [result["inside"], result["outside"]],
        [f"mutual information, {kind} by {kind}, bits"]
        + [result["mi_same"], result["mi_cross"]],
    ]
    title = (
        f"{subject.name} on {result['num_pairs']} pairs of frames of "
        f"{result['protocol']['dataset']}; {result['collapsed_latents']} of "
        f"{len(result['order'])} latents are collapsed"
    )
    if result["random_partition"]:
        title += "; latents in the best of random groups"
    return study.table(["", f"same {kind}", f"other {kind}s"], rows, title)


def _draw(matrix, bits, has_factors):
    from tfdecomp.visualization import plots

    kind = "factor" if has_factors else "group"
    size = len(matrix) // len(bits)
    names = [f"{kind} {i}" for i in range(len(bits))]
    return plots.heat_maps(
        {
            "correlation of latents": (matrix, size),
            "mutual information, bits": (bits, 1),
        },
        names,
        ("at t + 1", "at t"),
    )
