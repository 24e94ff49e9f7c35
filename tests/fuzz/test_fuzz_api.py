"""Any call of the Python interface works, or says in one sentence why not."""

import fractions
import resource
import warnings

import numpy as np
import pytest
import tensorflow as tf

import tfdecomp
from tests.fuzz import limits
from tests.test_case import set_seed
from tfdecomp.models.provide import PROVIDE
from tfdecomp.prediction.options import Options
from tfdecomp.sharing import hub
from tfdecomp.storage import saving

SIDE = 16
QUICK, ALL = 150, 10_000
SECONDS = 20  # of the processor, the most that one call may take
BYTES = 2**31  # the most that all of them may take together
ODD = (
    None,
    True,
    False,
    -1,
    0,
    1,
    3,
    1.5,
    4.0,
    float("nan"),
    float("inf"),
    -float("inf"),
    1e-300,
    1e300,
    2**31,
    2**32,
    10**7,
    10**400,
    10**5000,
    2 + 1j,
    fractions.Fraction(1, 3),
    fractions.Fraction(10**400),
    "a",
    "",
    "native",
    "1,2,3,4",
    "8x8",
    b"x",
    [],
    [1],
    (1, 2),
    [0, 0, 8, 8],
    [[1], [1, 2]],
    ["a", "b"],
    {},
    {"a": 1},
    {1},
    object(),
    len,
    np.int64(3),
    np.uint8(200),
    np.float32(0.5),
    np.float64("nan"),
    np.bool_(True),
    np.array(3),
    np.array([1, 2]),
    np.array([0, 0, 8, 8]),
    np.zeros((2, 2)),
)
NAMES = (
    "fps",
    "source_fps",
    "range",
    "fit",
    "num_slots",
    "num_refinements",
    "seed",
    "chunk",
    "num_future",
    "size",
    "region",
    "min_area",
    "max_area",
    "objects",
    "object_size",
    "link",
    "frames",  # no option
)
RIGHT = {
    "fps": (None, 5, 10.0),
    "source_fps": (10.0, 30),
    "fit": ("auto", "letterbox", "crop", "stretch"),
    "num_slots": (None, 3),
    "seed": (0, 7, 2**31 - 1),
    "chunk": (1, 2, 32, 10**9),
    "num_future": (0,),
}
TYPES = (
    *("bool", "uint8", "int8", "uint16", "int16", "int32", "int64", "uint64"),
    *("float16", "float32", "float64", "longdouble", "complex64", "object"),
    *("S3", "U2", "datetime64[s]", "timedelta64[s]", "i4,f4"),
)


@pytest.fixture(scope="module")
def models():
    set_seed(0)
    small = PROVIDE(
        image_size=SIDE,
        num_slots=2,
        num_refinements=2,
        latent_dim=4,
        units=8,
    )
    return (
        hub.Loaded(saving.build(small), {}),
        tfdecomp.load("connected_components"),
        tfdecomp.load("background_subtraction"),
    )


def pick(rng, values):
    return values[rng.integers(len(values))]


def some_options(rng):
    """Options of which most calls have none or one that is odd."""
    options = {}
    for name in rng.permutation(list(RIGHT))[: rng.integers(4)]:
        options[str(name)] = pick(rng, RIGHT[name])
    for _ in range(pick(rng, (0, 1, 1, 1, 2))):
        options[str(pick(rng, NAMES))] = pick(rng, ODD)
    return options


def some_video(rng):
    """Something to decompose, seldom what is wanted."""
    kind = rng.integers(10)
    if kind == 0:
        return pick(rng, ODD)
    if kind == 1:
        frame = np.zeros((SIDE, SIDE, 3), np.uint8)
        return [frame, frame[: rng.integers(1, SIDE + 1)]]
    if kind == 2:
        return tf.zeros((2, SIDE, SIDE, 3), pick(rng, (tf.uint8, tf.bfloat16)))
    if kind == 3:
        return "/nowhere/video.mp4"
    if kind < 7:
        shape = (2, SIDE, SIDE, 3)
    else:
        sides = (0, 1, 2, 3, 4, 5, SIDE, 20)
        shape = tuple(pick(rng, sides) for _ in range(rng.integers(7)))
    values = pick(rng, (0, 1, 1, 1, 255, 10**6)) * rng.random(shape)
    values = np.asarray(values)
    if rng.random() < 0.1 and values.size:
        values.flat[0] = pick(rng, (np.nan, np.inf, -1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # casts of NaN, and to real numbers
        name = pick(rng, TYPES)
        if name == "i4,f4":
            return np.zeros(shape, name)
        return (
            values.astype("int64").astype(name)
            if "64[" in name
            else (values.astype(name))
        )


def some_call(rng, models, folder):
    """A function to call, and its arguments in words."""
    options, video = some_options(rng), some_video(rng)
    model = models[pick(rng, (0, 0, 0, 1, 2))]
    what = rng.integers(8)
    if what < 3:
        return lambda: Options(**options), ("Options", options)
    words = (type(model.model).__name__, what, video, options)
    if what < 6:
        return lambda: model.decompose(video, **options), words
    if what == 6:
        return lambda: model.gauge(video, **options), words
    output = pick(rng, (folder / "out", folder / "out", *ODD[:4], 3, b"x"))
    rest = pick(rng, ({}, {}, {"progress": 3}, {"should_stop": "a"}))

    def predict():
        return model.predict(video, output, overwrite=True, **rest, **options)

    return predict, (*words, output, rest)


def fault(call):
    """What is wrong with how a call ended, if anything is."""
    try:
        with limits.clock(SECONDS) as seconds, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except (ValueError, OSError) as error:
        text = str(error)
        if len(text) < 15 or "Traceback" in text or " at 0x" in text:
            return f"no sentence: {error!r}"
    except TypeError as error:
        # How Python itself refuses a name that there is not.
        if "unexpected keyword argument 'frames'" not in str(error):
            return repr(error)
    except Exception as error:
        return repr(error)
    return f"{seconds():.0f} s" if seconds() > SECONDS else None


def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.slow
@pytest.mark.parametrize("count", [QUICK, ALL])
def test_every_call_works_or_says_why_not(count, models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, faults = peak(), []
    for seed in range(count):
        rng = np.random.default_rng([count, seed])
        call, words = some_call(rng, models, tmp_path)
        wrong = fault(call)
        if wrong:
            faults.append((seed, wrong, words))
    for seed, wrong, words in faults[:40]:
        print(seed, wrong[:300], repr(words)[:500])
    assert not faults
    assert peak() - before < BYTES
    assert {path.name for path in tmp_path.iterdir()} <= {"out"}
