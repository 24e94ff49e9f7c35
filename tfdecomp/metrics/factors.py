"""What a linear map reads of true factors from representations.

Fitted on one set of objects, scored on another:

* numbers: ridge regression in closed form, scored by
  `R2 = 1 - SS_res / SS_tot`, both summed over the columns of the factor, each
  column standardised;
* angles: their cosine and sine, as numbers;
* classes: logistic regression, scored by accuracy.

Only rows that the caller hands in count: leave out what is not visible.

References:
    Greff et al., Multi-Object Representation Learning with Iterative
    Variational Inference. ICML 2019, section 4.2.
"""

import dataclasses

import numpy as np

RIDGE = 1e-6  # keeps the closed form solvable; changes no digit that shows
MAX_ITERATIONS = 500  # of the logistic regression
MAX_COLORS = 32  # more different colours than that are no palette

NUMBER, ANGLE, CLASS = "number", "angle", "class"
# Values per turn of the factors that are angles.
ANGLES = {"rotation": 360.0, "orientation": 2 * np.pi}


def assign_slots(true_ids, masks, num_objects) -> np.ndarray:
    """The slot that explains each object: arg max of the soft overlap.

    Several objects may share a slot.

    Args:
        true_ids: `[B, H, W]` integers; object `l` has the label `l + 1`.
        masks: `[B, K, H, W]` soft masks.
        num_objects: `L`.

    Returns:
        `[B, L]` int64; 0 for objects without pixels.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factors import assign_slots
        >>> masks = np.array([[[[0.9, 0.2]], [[0.1, 0.8]]]])  # slots 0 and 1
        >>> assign_slots(np.array([[[0, 1]]]), masks, num_objects=1)
        array([[1]])
    """
    labels = np.arange(1, num_objects + 1)[:, None, None]
    owned = np.asarray(true_ids)[:, None] == labels  # [B, L, H, W]
    count = len(owned)
    owned = owned.reshape(count, num_objects, -1).astype(np.float32)
    masks = np.asarray(masks, np.float32).reshape(count, masks.shape[1], -1)
    return np.argmax(owned @ masks.transpose(0, 2, 1), axis=2)


@dataclasses.dataclass
class Targets:
    """A factor, ready to be predicted.

    Attributes:
        kind: `NUMBER`, `ANGLE` or `CLASS`.
        train: `[N, d]` standardised numbers, or `[N]` classes.
        test: The same of the rows that are scored; -1 is a class that no row
            of `train` has.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factors import NUMBER, Targets
        >>> Targets(NUMBER, np.zeros([4, 2]), np.zeros([3, 2])).kind
        'number'
    """

    kind: str
    train: np.ndarray
    test: np.ndarray


def targets(name, train, test) -> Targets:
    """Decides what kind of factor it is, and brings both parts to it.

    Integers are classes, `ANGLES` are angles, and colours are classes if
    there are at most `MAX_COLORS` different ones. All else are numbers.

    Args:
        name: Name of the factor.
        train: `[N, ...]` values to fit on.
        test: `[M, ...]` values to score on.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factors import targets
        >>> targets("shape", np.array([4, 7, 7]), np.array([7, 9])).test
        array([ 1, -1])
    """
    train, test = (np.asarray(part) for part in (train, test))
    train, test = (part.reshape(len(part), -1) for part in (train, test))
    is_code = np.issubdtype(train.dtype, np.integer)
    if is_code or name == "color":
        palette = np.unique(train, axis=0)
        if is_code or len(palette) <= MAX_COLORS:
            return Targets(CLASS, _codes(train, palette), _codes(test, palette))
    kind = NUMBER
    if name in ANGLES:
        kind = ANGLE
        train, test = (_on_circle(x, ANGLES[name]) for x in (train, test))
    return Targets(kind, *_standardized(train, test))


def _codes(values, palette):
    """Row of the palette that each value is, -1 for none."""
    equal = (values[:, None] == palette[None]).all(-1)
    return np.where(equal.any(1), equal.argmax(1), -1)


def _on_circle(angle, turn):
    angle = angle * (2 * np.pi / turn)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def _standardized(train, test):
    train, test = train.astype(np.float64), test.astype(np.float64)
    mean, deviation = train.mean(0), train.std(0)
    deviation = np.where(deviation > 1e-12, deviation, 1.0)
    return (train - mean) / deviation, (test - mean) / deviation


def regress(inputs, values, new_inputs, ridge=RIDGE) -> np.ndarray:
    """Ridge regression with an offset, in closed form.

    Args:
        inputs: `[N, D]`.
        values: `[N, d]`.
        new_inputs: `[M, D]`.
        ridge: Weight of the squared coefficients, per row.

    Returns:
        `[M, d]` predictions.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factors import regress
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> regress(x, 2 * x + 1, np.array([[3.0]])).round(3)
        array([[7.]])
    """
    inputs, new_inputs = _standardized(np.asarray(inputs), new_inputs)
    mean = values.mean(0)
    gram = inputs.T @ inputs + ridge * len(inputs) * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ (values - mean))
    return new_inputs @ weights + mean


def classify(inputs, classes, new_inputs) -> np.ndarray:
    """Logistic regression; `[N, D]`, `[N]`, `[M, D]` -> `[M]` classes.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factors import classify
        >>> x, classes = np.array([[-2.0], [-1.0], [1.0]]), np.array([0, 0, 1])
        >>> classify(x, classes, np.array([[-3.0], [3.0]]))
        array([0, 1])
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(classes)) < 2:
        return np.full(len(new_inputs), classes[0])
    inputs, new_inputs = _standardized(np.asarray(inputs), new_inputs)
    model = LogisticRegression(max_iter=MAX_ITERATIONS)
    return model.fit(inputs, classes).predict(new_inputs)


def r_squared(values, predicted) -> float:
    """`1 - SS_res / SS_tot` over all columns; 1 if there is no variance.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factors import r_squared
        >>> values = np.array([[1.0], [3.0]])
        >>> r_squared(values, values), r_squared(values, 2.0)
        (1.0, 0.0)
    """
    residual = np.sum((values - predicted) ** 2)
    total = np.sum((values - values.mean(0)) ** 2)
    if total == 0:
        return 1.0 if residual == 0 else 0.0
    return float(1.0 - residual / total)


def accuracy(classes, predicted) -> float:
    """Share of equal entries.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factors import accuracy
        >>> accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 1, 1]))
        0.75
    """
    return float(np.mean(classes == predicted))


def probe(inputs, new_inputs, target, groups=None, new_groups=None) -> dict:
    """Fits a linear map and scores it.

    Args:
        inputs: `[N, D]` representations to fit on.
        new_inputs: `[M, D]` representations to score on.
        target: `Targets` of the same rows.
        groups: `[N]` integers: rows of each group get a map of their own, and
            all are scored together. By default there is one group.
        new_groups: `[M]` likewise. A group that no row of `groups` has is
            predicted by the mean, or the most frequent class.

    Returns:
        `kind`, `score` (R2 or accuracy) and `chance`: the score of the best
        constant.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.factors import probe, targets
        >>> x = np.arange(8.0)[:, None]
        >>> result = probe(x, x, targets("size", 3 * x, 3 * x))
        >>> result["kind"], round(result["score"], 3)
        ('number', 1.0)
    """
    groups = np.zeros(len(inputs), int) if groups is None else groups
    if new_groups is None:
        new_groups = np.zeros(len(new_inputs), int)
    is_class = target.kind == CLASS
    fit = classify if is_class else regress
    constant = _constant(target)
    predicted = np.array(
        np.broadcast_to(constant, target.test.shape), target.test.dtype
    )
    for group in np.intersect1d(groups, new_groups):
        here, there = groups == group, new_groups == group
        predicted[there] = fit(
            inputs[here], target.train[here], new_inputs[there]
        )
    measure = accuracy if is_class else r_squared
    chance = accuracy(target.test, constant) if is_class else 0.0
    return {
        "kind": target.kind,
        "score": measure(target.test, predicted),
        "chance": chance,
    }


def _constant(target):
    """What to say if nothing is known."""
    if target.kind != CLASS:
        return target.train.mean(0)
    return np.bincount(target.train).argmax()
