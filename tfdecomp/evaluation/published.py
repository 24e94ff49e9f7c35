"""Numbers that papers report, to print beside our own.

PROVIDE: "Unsupervised Video Decomposition using Spatio-temporal Iterative
Inference" (UAI 2021), tables 1 and 2. All three scores are per frame, mean
over frames, then over clips. IODINE runs on each frame by itself, so the
paper gives one number for all lengths.

LAVAE: "LAVAE: Disentangling Location and Appearance" (2019), table 1. Means
and deviations are over seeds, whose number is not stated; the counts hold for
all seeds and for the pictures of seven objects, too.

DVIP: "Disentangling Video with Independent Prediction" (2019), table 2. Its
mutual information has no unit in the paper; that of its estimator is bits.
The ELBO is in nats per frame, so it compares at equal size, channels and
pixel variance alone.

Benchmark of object-centric representations (2021): the table in the README of
its repository, three seeds each. Identities are those of all clips together
there, of each clip by itself here.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """One published model on one dataset.

    Args:
        data: Name of the data in the paper.
        model: Name of the model.
        scores: Score -> one value for each column, or for the first ones
            alone; a text where the paper gives more than a number, or to keep
            its digits.
    """

    data: str
    model: str
    scores: dict


@dataclasses.dataclass(frozen=True)
class Heading:
    """One column as it is printed.

    Args:
        score: Name of the score.
        column: Which of the table's columns.
        title: What stands above it.
        style: How numbers are written: `"number"`, `"nats"`, `"bits"` or
            `"percent"`.
    """

    score: str
    column: object
    title: str
    style: str = "number"


@dataclasses.dataclass(frozen=True)
class Table:
    """A published table.

    Args:
        title: What it shows.
        columns: Labels of the columns of each score.
        rows: Its rows.
        data_of: Our dataset's name (a pattern, as of file names) -> the
            paper's.
        column_key: What tells our conditions' columns apart.
        headings: What is printed, if that is not ARI, F-ARI and MSE in every
            column.
    """

    title: str
    columns: tuple
    rows: tuple
    data_of: dict
    column_key: str | None = None
    headings: tuple = ()


def _row(data, model, ari, f_ari, mse):
    return Row(data, model, {"ari": ari, "f_ari": f_ari, "mse": mse})


_BINARY, _COLOR, _CLEVRER = "BB binary", "BB colour", "CLEVRER"

TABLE1 = Table(
    title="Decomposition, clips of 10 to 40 frames",
    columns=(10, 20, 30, 40),
    column_key="num_frames",
    data_of={
        "tfdecomp_bouncing_balls/binary*": _BINARY,
        "tfdecomp_bouncing_balls/color*": _COLOR,
        "tfdecomp_clevrer*": _CLEVRER,
    },
    rows=(
        _row(
            _BINARY,
            "R-NEM",
            (0.5031, 0.6199, 0.6632, 0.6833),
            (0.6259, 0.7325, 0.7708, 0.7899),
            (0.0252, 0.0138, 0.0096, 0.0076),
        ),
        _row(_BINARY, "IODINE", (0.0318,), (0.9986,), (0.0018,)),
        _row(
            _BINARY,
            "SEQ-IODINE",
            (0.0230, 0.0223, 0.0021, -0.0201),
            (0.8645, 0.6028, 0.5444, 0.4063),
            (0.0385, 0.0782, 0.0846, 0.0968),
        ),
        _row(
            _BINARY,
            "PROVIDE",
            (0.7169, 0.7263, 0.7286, 0.7294),
            (0.9999, 0.9999, 0.9999, 0.9999),
            (0.0004, 0.0004, 0.0004, 0.0004),
        ),
        _row(_COLOR, "IODINE", (0.5841,), (0.9752,), (0.0014,)),
        _row(
            _COLOR,
            "SEQ-IODINE",
            (0.3789, 0.3743, 0.3225, 0.2654),
            (0.7517, 0.8159, 0.7537, 0.6734),
            (0.0160, 0.0164, 0.0217, 0.0270),
        ),
        _row(
            _COLOR,
            "PROVIDE",
            (0.7275, 0.7291, 0.7298, 0.7301),
            (1.0, 1.0, 0.9999, 0.9999),
            (0.0002, 0.0002, 0.0002, 0.0002),
        ),
        _row(_CLEVRER, "IODINE", (0.1791,), (0.9316,), (0.0004,)),
        _row(
            _CLEVRER,
            "SEQ-IODINE",
            (0.1171, 0.1378, 0.1558, 0.1684),
            (0.8520, 0.8774, 0.8780, 0.8759),
            (0.0009, 0.0009, 0.0010, 0.0010),
        ),
        _row(
            _CLEVRER,
            "PROVIDE",
            (0.2220, 0.2403, 0.2555, 0.2681),
            (0.9182, 0.9258, 0.9309, 0.9312),
            (0.0003, 0.0003, 0.0003, 0.0003),
        ),
    ),
)

_BINARY6 = "BB binary, 6-8 balls"
_COLOR6_4 = "BB colour, 6-8 balls, 4 colours"
_COLOR6_8 = "BB colour, 6-8 balls, 8 colours"
_CLEVRER6 = "CLEVRER, 6 objects"

TABLE2 = Table(
    title="More objects than in training",
    columns=("",),
    data_of={
        "tfdecomp_bouncing_balls/binary678*": _BINARY6,
        "tfdecomp_bouncing_balls/color678_pal4*": _COLOR6_4,
        "tfdecomp_bouncing_balls/color678_pal8*": _COLOR6_8,
        "tfdecomp_clevrer*": _CLEVRER6,
    },
    rows=(
        _row(_BINARY6, "R-NEM", (0.4484,), (0.6377,), (0.0328,)),
        _row(_BINARY6, "IODINE", (0.0271,), (0.9969,), (0.0040,)),
        _row(_BINARY6, "SEQ-IODINE", (0.0263,), (0.8874,), (0.0521,)),
        _row(_BINARY6, "PROVIDE", (0.4453,), (0.9999,), (0.0008,)),
        _row(_COLOR6_4, "IODINE", (0.4136,), (0.8211,), (0.0138,)),
        _row(_COLOR6_4, "SEQ-IODINE", (0.2068,), (0.5854,), (0.0338,)),
        _row(_COLOR6_4, "PROVIDE", (0.4275,), (0.9998,), (0.0004,)),
        _row(_COLOR6_8, "IODINE", (0.2823,), (0.7197,), (0.0281,)),
        _row(_COLOR6_8, "SEQ-IODINE", (0.1571,), (0.5231,), (0.0433,)),
        _row(_COLOR6_8, "PROVIDE", (0.4317,), (0.9900,), (0.0114,)),
        _row(_CLEVRER6, "IODINE", (0.2205,), (0.9305,), (0.0006,)),
        _row(_CLEVRER6, "SEQ-IODINE", (0.1482,), (0.8645,), (0.0012,)),
        _row(_CLEVRER6, "PROVIDE", (0.2839,), (0.9355,), (0.0004,)),
    ),
)

_MNIST_1K, _MNIST_10K = "multi-MNIST-1k", "multi-MNIST-10k"
_DSPRITES = "multi-dSprites"


def _lavae_row(data, bound, count):
    return Row(
        data,
        "LAVAE",
        {"nll_bound": (bound,), "count_accuracy": (count, count)},
    )


def _baseline_row(data, bound):
    return Row(data, "VAE", {"nll_bound": (bound,)})


LAVAE = Table(
    title="Bound of the likelihood and counted objects",
    columns=("test", "test7"),
    column_key="split",
    headings=(
        Heading("nll_bound", "test", "-log p(x) ≤ (nats)", "nats"),
        Heading("count_accuracy", "test", "count accuracy", "percent"),
        Heading(
            "count_accuracy", "test7", "count accuracy, 7 objects", "percent"
        ),
    ),
    # Digits of other banks stand beside MNIST's; rows of ours say which.
    data_of={
        "tfdecomp_multi_digits/*_10k*": _MNIST_10K,
        "tfdecomp_multi_digits/*": _MNIST_1K,
        "tfdecomp_multi_dsprites/*lavae*": _DSPRITES,
    },
    rows=(
        _lavae_row(_MNIST_1K, "42.2 ± 1.1", "≥ 99.9 %"),
        _baseline_row(_MNIST_1K, "51.6 ± 0.6"),
        _lavae_row(_MNIST_10K, "60.4 ± 2.8", "≥ 99.7 %"),
        _baseline_row(_MNIST_10K, "64.6 ± 0.8"),
        _lavae_row(_DSPRITES, "43.9 ± 1.0", "≥ 99.9 %"),
        _baseline_row(_DSPRITES, "45.8 ± 0.7"),
    ),
)

_MOVING_MNIST, _AVENUE = "moving MNIST", "5th Avenue"


def _dvip_row(data, model, same, cross, elbo):
    scores = {"mi_same": (same,), "mi_cross": (cross,), "elbo": (elbo,)}
    return Row(data, model, scores)


DVIP = Table(
    title="Mutual information of factors a frame apart, and ELBO",
    columns=("",),
    headings=(
        Heading("mi_same", "", "same-factor MI (bits)", "bits"),
        Heading("mi_cross", "", "cross-factor MI (bits)", "bits"),
        Heading("elbo", "", "ELBO (nats per frame)", "nats"),
    ),
    # Other digits, sizes and streets stand beside the paper's; rows of ours
    # say which. Its videos of 5th Avenue are not public.
    data_of={
        "tfdecomp_moving_digits/*": _MOVING_MNIST,
        "tfdecomp_video_folder/street*": _AVENUE,
    },
    rows=(
        _dvip_row(_MOVING_MNIST, "DVIP, 2 factors", "4.61", "0.75", "-2902"),
        _dvip_row(_MOVING_MNIST, "DVIP entangled", "4.66", "2.61", "-2896"),
        _dvip_row(_AVENUE, "DVIP, 8 factors", "2.26", "0.28", "6830"),
        _dvip_row(_AVENUE, "DVIP entangled", "2.08", "0.38", "6800"),
    ),
)

_VMDS, _SPMOT, _VOR = "VMDS", "SpMOT", "VOR"


def _ocrb_row(data, model, mota, motp):
    """In per cent, as the benchmark has them."""
    return Row(data, model, {"mota": (f"{mota} %",), "motp": (f"{motp} %",)})


OCRB = Table(
    title="Tracking by masks",
    columns=("",),
    headings=(
        Heading("mota", "", "MOTA", "percent"),
        Heading("motp", "", "MOTP", "percent"),
    ),
    data_of={
        "tfdecomp_ocrb/vmds*": _VMDS,
        "tfdecomp_ocrb/spmot*": _SPMOT,
        "tfdecomp_ocrb/vor*": _VOR,
    },
    rows=(
        _ocrb_row(_SPMOT, "ViMON", "92.9 ± 0.2", "91.8 ± 0.2"),
        _ocrb_row(_SPMOT, "OP3", "89.1 ± 5.1", "78.4 ± 2.4"),
        _ocrb_row(_SPMOT, "TBA", "79.7 ± 15.0", "71.2 ± 0.3"),
        _ocrb_row(_SPMOT, "MONet", "70.2 ± 0.8", "89.6 ± 1.0"),
        _ocrb_row(_VMDS, "OP3", "91.7 ± 1.7", "93.6 ± 0.4"),
        _ocrb_row(_VMDS, "ViMON", "86.8 ± 0.3", "86.8 ± 0.0"),
        _ocrb_row(_VMDS, "TBA", "54.5 ± 12.1", "75.0 ± 0.9"),
        _ocrb_row(_VMDS, "MONet", "49.4 ± 3.6", "78.6 ± 1.8"),
        _ocrb_row(_VOR, "ViMON", "89.0 ± 0.0", "89.5 ± 0.5"),
        _ocrb_row(_VOR, "OP3", "65.4 ± 0.6", "89.0 ± 0.6"),
        _ocrb_row(_VOR, "MONet", "37.0 ± 6.8", "81.7 ± 0.5"),
    ),
)

# What our classes are called in the papers, where the names differ.
OURS = {
    "SEQ-IODINE": "SequentialIODINE",
    "VAE": "ConvVAE",
    "DVIP, 2 factors": "DVIP",
    "DVIP, 8 factors": "DVIP",
}

TABLES = {
    "table1": TABLE1,
    "table2": TABLE2,
    "lavae": LAVAE,
    "dvip": DVIP,
    "ocrb": OCRB,
}
