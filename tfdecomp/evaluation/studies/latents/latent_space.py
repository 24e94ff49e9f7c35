"""Maps of the slots, coloured by true factors."""

import dataclasses

import gin
import numpy as np

from tfdecomp.evaluation.studies import study
from tfdecomp.evaluation.studies.latents import factors as factors_lib
from tfdecomp.metrics import factors as probes

METHODS = ("tsne", "pca")


@gin.register(module="studies")
@dataclasses.dataclass(frozen=True)
class LatentSpace(study.Study):
    """PCA and t-SNE of the objects' slots (figures 27 to 29 of IODINE).

    Each visible object contributes the slot that explains it.

    Args:
        factors: Factors to colour by; by default all that the set has.
        methods: Out of "tsne" and "pca".
        perplexity: Perplexity of t-SNE.
    """

    name = "latent_space"

    factors: tuple | None = None
    methods: tuple = METHODS
    perplexity: float = 30.0

    def look(self, subject, others):
        """Draws a picture for each method."""
        del others
        unknown = set(self.methods) - set(METHODS)
        if unknown:
            raise ValueError(f"methods are {METHODS}, not {sorted(unknown)}")
        condition = self.condition(subject)
        found = factors_lib.gather(subject, condition, self.factors)
        panels = {"slot number": found.slots}
        for name, values in found.factors.items():
            panels |= _colors(name, values)
        from tfdecomp.visualization import plots

        pictures, spread = {}, {}
        for method in self.methods:
            points, described = self._place(method, found.inputs)
            pictures[method] = plots.scatter(panels, points)
            spread[method] = described
        result = {
            "protocol": condition.describe(),
            "num_clips": found.images,
            "num_objects": len(found.inputs),
            "methods": spread,
        }
        rows = [[m, str(d)] for m, d in spread.items()]
        table = study.table(
            ["map", "what it keeps"],
            rows,
            f"{subject.name}: {len(found.inputs)} objects of {found.images} "
            f"images of {condition.dataset}",
        )
        return study.Findings(result, table, pictures)

    def _place(self, method, inputs):
        """`([N, 2], how good it is)`."""
        if method == "pca":
            return pca(inputs)
        from sklearn.manifold import TSNE

        perplexity = min(self.perplexity, (len(inputs) - 1) / 3)
        model = TSNE(perplexity=perplexity, init="pca", random_state=self.seed)
        points = model.fit_transform(np.asarray(inputs, np.float32))
        return points, f"KL divergence {float(model.kl_divergence_):.3f}"


def pca(inputs):
    """The first two principal components.

    Args:
        inputs: `[N, D]`.

    Returns:
        `([N, 2], words)`.
    """
    centred = inputs - inputs.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    share = float(np.sum(values[:2] ** 2) / np.sum(values**2))
    return centred @ axes[:2].T, f"{share:.1%} of the variance"


def _colors(name, values):
    """Title to what `plots.scatter` colours by."""
    values = np.asarray(values)
    if name == "color" and values.ndim == 2:
        if values.shape[1] == 3:
            scale = 255.0 if values.max() > 1 else 1.0
            return {name: values / scale}
        values = values[:, 0]
    if np.issubdtype(values.dtype, np.integer):
        return {name: np.unique(values, return_inverse=True)[1]}
    if name in probes.ANGLES:
        return {name: np.cos(values * 2 * np.pi / probes.ANGLES[name])}
    if values.ndim == 1:
        return {name: values}
    return {f"{name}[{i}]": values[:, i] for i in range(values.shape[1])}
