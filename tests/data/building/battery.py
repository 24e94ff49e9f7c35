"""What is checked of every dataset: a line each in `STORED`.

What is simulated is found by itself, see `GENERATED`.
"""

import dataclasses
import functools
import hashlib

import numpy as np
import tensorflow_datasets as tfds

from tfdecomp import builders
from tfdecomp.data import schema
from tfdecomp.data.building import builder_base

OWN = ("train", "validation", "test")


class _ReadTwice(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own test, which asks a builder for each split twice.

    It looks at the types of one answer and at the examples of the other. To
    answer takes longer than to read: the same answer serves for both.
    """

    def _make_builder(self, config=None):
        builder = super()._make_builder(config)
        builder.as_dataset = functools.cache(builder.as_dataset)
        return builder


@dataclasses.dataclass(frozen=True)
class Stored:
    """Configs that TFDS's own test builds and reads.

    Attributes:
        dataset: Its folder.
        splits: Name to number of examples.
        configs: Names of configs.
        sized: Whether the splits are fields, as they are where examples are
            made, and not what files hold.
        slow: Whether it takes more than a few seconds.
        fields: Other fields of the configs.
    """

    dataset: str
    splits: dict
    configs: tuple
    sized: bool = True
    slow: bool = False
    fields: dict = dataclasses.field(default_factory=dict)

    def builder_configs(self):
        configs = builders.builder_cls(self.dataset).builder_configs
        fields = {**self.fields}
        if self.sized:
            fields |= {f"num_{name}": self.splits.get(name, 0) for name in OWN}
            more = {k: n for k, n in self.splits.items() if k not in OWN}
            fields["extra_splits"] = more or None
        # TFDS finds configs of the set by their names alone.
        return [
            dataclasses.replace(configs[name], name=f"{name}_few", **fields)
            if fields
            else name
            for name in self.configs
        ]

    def test_class(self):
        name = "_".join((self.dataset, *self.configs, *self.fields))
        return type(
            name,
            (_ReadTwice,),
            {
                "DATASET_CLASS": builders.builder_cls(self.dataset),
                "EXAMPLE_DIR": builders.folder() / self.dataset / "dummy_data",
                # Sets of files that are looked for by name have none.
                "SKIP_CHECKSUMS": self.dataset == "multi_object",
                "BUILDER_CONFIG_NAMES_TO_TEST": self.builder_configs(),
                "SPLITS": self.splits,
            },
        )


def _made(dataset, sizes, *configs, slow=False, **fields):
    """Sizes of train, validation and test, or name to number."""
    splits = sizes if isinstance(sizes, dict) else dict(zip(OWN, sizes))
    splits = {name: size for name, size in splits.items() if size}
    return Stored(dataset, splits, configs, True, slow, fields)


def _read(dataset, sizes, *configs, slow=False, **fields):
    case = _made(dataset, sizes, *configs, slow=slow, **fields)
    return dataclasses.replace(case, sized=False)


_LARGE = {"train": 5, "validation": 3, "test": 2, "test_large": 4}
_SEVEN = {"train": 6, "test": 4, "test7": 3}
_NUMBERED = {"train": 5, "validation": 3, "test_n01": 4, "test_n12": 2}
_SINGLE = {"train": 5, "test": 3, "single": 2}
_REST = {"train": 3, "validation": 1, "test": 1, "rest": 1}
_OBJECTS = {"num_train": 3, "num_validation": 1, "num_test": 1}
_CLEVRER = {"frames_per_video": 8, "num_frames": 5}
_CENTER = {"num_frames": 4, "crop_size": 32, "source_frames": 45}
_FOLDER = {"size": (18, 32), "clip_length": 4}
_SLOW = {"slow": True}
# Of every set one way in is built every day, the others with the slow tests.
STORED = [
    # Half of eleven first frames, rounded to an even number, twice each.
    _read("atari", (12, 12), "space_invaders_crops", num_windows=2),
    _read("atari", (0, 2, 2), "space_invaders_full", **_SLOW),
    _made("bouncing_balls", (0, 0, 3), "color678_pal4"),
    _made(
        "bouncing_balls",
        (5, 3, 2),
        *("binary4", "color4", "color3_quick"),
        **_SLOW,
    ),
    _made("bouncing_balls", (0, 0, 3), "binary678", **_SLOW),
    _read("bouncing_balls", (0, 0, 2), "h5_color678_pal4"),
    _read("bouncing_balls", (3, 2, 2), "h5_binary4", "h5_color4", **_SLOW),
    _read("bouncing_balls", (0, 0, 2), "h5_color678_pal8", **_SLOW),
    _read("clevrer", (2,), "train", num_videos=2, **_CLEVRER),
    _read(
        "clevrer",
        (2,),
        "train",
        num_videos=2,
        mask_source="proposals",
        **_CLEVRER,
        **_SLOW,
    ),
    _read("clevrer", (0, 0, 3), "slices345", num_videos=5, **_CLEVRER),
    _read(
        "clevrer",
        (0, 0, 3),
        "slices345_proposals",
        num_videos=5,
        **_CLEVRER,
        **_SLOW,
    ),
    _read("clevrer", (0, 0, 2), "slices6", num_videos=5, **_CLEVRER, **_SLOW),
    # The numbers follow from the length of the video.
    _read(
        "grand_central",
        (8, 1, 2),
        "center",
        **_CENTER,
        **dict.fromkeys(_OBJECTS, 0),
    ),
    _made("moving_digits", (5, 3, 4), "digits_quick", num_frames=6),
    _made("moving_digits", (5, 3, 4), "digits", num_frames=6, **_SLOW),
    _made("moving_digits", (5, 3, 4), "strokes_disjoint", **_SLOW),
    _made("moving_digits", (5, 3, 4), "mnist", "mnist_disjoint", **_SLOW),
    _made("moving_things", (4, 3, 2), "mixed64"),
    _made("multi_digits", {**_SEVEN, "validation": 2}, "digits_quick_heldout"),
    _made("multi_digits", _SEVEN, "digits_1k", "strokes_1k", **_SLOW),
    _made("multi_digits", _SEVEN, "mnist_1k", pool_size=50),
    _made("multi_digits", _SEVEN, "mnist_10k_heldout", pool_size=40, **_SLOW),
    _made("multi_dsprites", (5, 3, 2), "quick_gray"),
    _made(
        "multi_dsprites",
        _LARGE,
        "iodine_gray",
        "iodine_bin",
        "colored",
        **_SLOW,
    ),
    _made("multi_dsprites", _SEVEN, "lavae", **_SLOW),
    _read("multi_object", (3, 1, 1), "multi_dsprites_colored", **_OBJECTS),
    _read(
        "multi_object",
        (3, 1, 1),
        *("tetrominoes", "multi_dsprites_gray", "multi_dsprites_bin"),
        **_OBJECTS,
        **_SLOW,
    ),
    _read("multi_object", _REST, "clevr", **_OBJECTS, **_SLOW),
    # The first scenes have one, two and three objects.
    _read("multi_object", {**_REST, "train": 1}, "clevr6", **_OBJECTS, **_SLOW),
    _read(
        "multi_object",
        {"train": 3, "validation": 1, "test": 1}
        | dict.fromkeys(("empty_room", "six_objects", "identical_color"), 6),
        "objects_room",
        **_OBJECTS,
        **_SLOW,
    ),
    _read(
        "multi_object",
        {"train_full": 6},
        "tetrominoes",
        full=True,
        **_OBJECTS,
    ),
    _read("ocrb", (3, 2, 2), "spmot"),
    _read("ocrb", (0, 0, 2), "vor_labelled"),
    _read(
        "ocrb",
        {"train": 3, "validation": 2, "test": 2}
        | {"test_testsets_vmds_test_occlusion": 2},
        "vmds",
        **_SLOW,
    ),
    _made("raycast", (4, 3, 2), "clevr_like_64"),
    _made(
        "raycast",
        (4, 3, 2),
        *("clevr_like", "clevr_like_native", "clevrer_like"),
        *("room", "room_sequence"),
        **_SLOW,
    ),
    _made(
        "raycast",
        (0, 0, 2),
        *("clevrer_like_slices345", "clevrer_like_slices6"),
        **_SLOW,
    ),
    _made(
        "raycast",
        (0, 0, 3),
        *("room_empty", "room_six_objects", "room_identical_color"),
        **_SLOW,
    ),
    _made("scattered_digits", _NUMBERED, "digits_12", num_frames=3),
    _made("scattered_digits", _NUMBERED, "strokes_6", pool_size=100, **_SLOW),
    # The miniature files hold fewer digits than MNIST's training part.
    _made("scattered_digits", _NUMBERED, "mnist_6", pool_size=60, **_SLOW),
    _made("scattered_shapes", (8, 3), "crop30"),
    _made(
        "scattered_shapes",
        {"train": 5, "validation": 3, "test_n01": 2, "test_n35": 2},
        "full10",
        **_SLOW,
    ),
    _made("shapes", _SINGLE, "shapes28"),
    _made("shapes", _SINGLE, "shapes20", **_SLOW),
    _read("shapes", (5, 3, 2), "h5"),
    # Windows of empty ground look alike: few, of which there are none.
    _made("sprite_game", (4, 3), "crops"),
    _made("sprite_game", (0, 2, 3), "full", **_SLOW),
    _made("street", (4, 3, 2), "street64"),
    # Of ten pictures a fifth is the test.
    _read("picture_folder", (8, 0, 2), "manual", size=16),
    _made("tetrominoes", (5, 3, 2), "quick14"),
    _made("tetrominoes", _LARGE, "paper17", "all19", "flat", **_SLOW),
    _made("tetrominoes", (0, 0, 3), "ambiguous", **_SLOW),
    _made("textured_digits", (5, 3, 2), "digits_2"),
    _made("textured_digits", (5, 3, 2), "strokes_1", **_SLOW),
    _made("textured_digits", (5, 3, 2), "mnist_1", pool_size=60, **_SLOW),
    _read("video_folder", (14, 0, 3), "manual", **_FOLDER),
    _read(
        "video_folder",
        (14, 0, 3),
        "manual",
        **_FOLDER,
        channels=1,
        crop="center",
        workers=2,
        **_SLOW,
    ),
]


@dataclasses.dataclass(frozen=True)
class Generated:
    """A simulated config, and fields of it that others would have."""

    dataset: str
    name: str
    changes: tuple = ()

    def __str__(self):
        changes = (f"{name}={value}" for name, value in self.changes)
        return "-".join((self.dataset, self.name, *changes))

    @functools.cached_property
    def builder(self):
        cls = builders.builder_cls(self.dataset)
        config = cls.builder_configs[f"{self.name}_tiny"]
        # Long videos and fine rays take long, and nothing here hangs on them.
        light = {"samples": 1} if hasattr(config, "samples") else {}
        if config.num_frames > 20:
            light["num_frames"] = 20
        changes = {"name": "few", **light, **dict(self.changes)}
        return cls(config=dataclasses.replace(config, **changes))

    @property
    def config(self):
        return self.builder.builder_config

    def make(self, start, stop, split=None, fresh=False, **changes):
        """Examples; of the first split, if none is named."""
        config = dataclasses.replace(self.config, **changes)
        split = split or self.splits[0]
        return self.builder.make_block(config, fresh)(split, start, stop)

    @property
    def splits(self):
        return list(self.config.split_sizes())

    @property
    def few(self):
        """How many examples are enough to tell: stills may be empty."""
        return 4 if self.config.num_frames == 1 else 2

    @functools.cached_property
    def first(self):
        """Of the first splits and the last: split -> its first examples."""
        splits = dict.fromkeys([*self.splits[:3], self.splits[-1]])
        return {split: self.make(0, self.few, split) for split in splits}

    @functools.cached_property
    def second(self):
        """As many examples of the first split that follow its first ones."""
        return self.make(self.few, 2 * self.few)

    @functools.cached_property
    def examples(self):
        """The first examples, as they are stored."""
        return [
            schema.complete(raw, self.config, split, index)
            for split, block in self.first.items()
            for index, raw in enumerate(block)
        ]

    def factors(self, example):
        """Factors of an example, objects first, `[K, ...]`."""
        axes = {name: spec[0] for name, spec in self.builder.factors().items()}
        for name, values in example.get("factors", {}).items():
            timed = axes[name] == "TK"
            yield name, np.swapaxes(values, 0, 1) if timed else values


def _generated():
    for dataset in builders.names():
        configs = builders.builder_cls(dataset).builder_configs
        for name, config in configs.items():
            made = config.source == builder_base.GENERATED
            if made and not name.endswith("_tiny"):
                yield Generated(dataset, name)


def _variant(dataset, config, **changes):
    return Generated(dataset, config, tuple(changes.items()))


GENERATED = [
    *_generated(),
    _variant("bouncing_balls", "color4", assign="rank"),
    _variant("bouncing_balls", "color4", channel_order="bgr"),
    _variant("bouncing_balls", "color4", antialias=True),
    _variant("bouncing_balls", "color4", profile="legacy"),
    _variant("multi_digits", "digits_1k", pool_split="disjoint"),
    _variant("shapes", "shapes28", max_objects=4),
    _variant("textured_digits", "digits_2", shift=8, height=56, width=56),
    _variant("tetrominoes", "paper17", num_pieces=2, max_objects=4),
]


_FRAMES = "frames are square"
_DIGITS = (
    ({"pool_size": 10_000}, "10,000 digits asked, 'digits' has 1,797"),
    ({"digit_source": "emnist"}, "digit_source is one of"),
    ({"digit_source": "mnist"}, "needs source = 'downloaded'"),
    ({"source": "downloaded"}, "needs source = 'generated'"),
    ({"height": 40}, _FRAMES),
)
_SCATTERED = (
    ({"extra_splits": {"test5": 3}}, "extra_splits has 'test5'"),
    ({"extra_splits": {"test_n13": 3}}, "max_objects is 12, .* up to 13"),
    ({"num_objects": [0, 13]}, "max_objects is 12, .* up to 13"),
    ({"height": 64}, _FRAMES),
    ({"channels": 1}, "channels must be 3, not 1"),
    ({"speed": 50}, "speed is 50"),
)
# Config to fields that cannot be, and what is said of them.
REFUSED = {
    "bouncing_balls/color4": (
        ({"source": "stolen"}, "source"),
        ({"encoding": "jpeg"}, "encoding"),
        ({"channels": 2}, "channels"),
        ({"max_objects": 255}, "max_objects"),
        ({"num_frames": 0}, "num_frames"),
        ({"height": 32}, "square"),
    ),
    "clevrer/slices345": (
        ({"part": "test"}, "part is 'test'"),
        ({"mask_source": "drawn"}, "mask_source is 'drawn'"),
        ({"on_error": "ask"}, "on_error is 'ask'"),
        ({"num_frames": 129}, "num_frames is 129"),
        ({"num_objects": [3, 7]}, "max_objects = 6"),
        ({"num_videos": 0}, "num_videos is 0"),
        ({"channels": 1}, "channels is 1"),
        ({"use_beam": True, "on_error": "skip"}, "use_beam"),
        ({"together": False, "mask_source": "author_masks"}, "together"),
    ),
    "moving_digits/digits_quick": (
        *_DIGITS,
        ({"pool_split": "heldout"}, "all 1,797 digits .* none is held out"),
        ({"extra_splits": {"test7": 3}}, "train, validation and test only"),
        ({"cell": 32}, "cell is 32"),
        ({"max_objects": 3}, "max_objects must be 2, not 3"),
        ({"speed": 2}, "speed is 2"),
        ({"speed_range": [0.3, 0.1]}, "speed_range is"),
        ({"num_frames": 0}, "num_frames must be at least 1"),
    ),
    "moving_things/mixed64": (
        ({"height": 32}, _FRAMES),
        ({"channels": 1}, "have 3 channels"),
        ({"max_objects": 7}, "num_objects allows 8"),
        ({"num_objects": (3, 2), "max_objects": 2}, "num_objects is"),
        ({"num_objects": (-1, 8)}, "num_objects is"),
        ({"num_objects": (0, 100), "max_objects": 100}, "from 1 to 99"),
        ({"height": 24, "width": 24}, "size 24"),
        ({"noise": -0.1}, "noise is -0.1"),
        ({"noise": 0.5}, "0 to 0.3"),
    ),
    "multi_digits/digits_quick": (
        *_DIGITS,
        ({"extra_splits": {"crowd": 3}}, "extra_splits has 'crowd'"),
        ({"extra_splits": {"test8": 3}}, "max_objects is 7, .* up to 8"),
        ({"cell": 12}, "7 cells of 12 px would cover 78%"),
        ({"channels": 3}, "num_frames and channels must be 1"),
        ({"num_frames": 2}, "num_frames and channels must be 1"),
        ({"num_digits": []}, "num_digits lists counts"),
    ),
    "multi_object/tetrominoes": (
        ({"variant": "clevr"}, "variant is 'clevr'"),
        ({"crop": "reference"}, "crop is 'reference'"),
        ({"channels": 1}, "channels 1, expected 3"),
        ({"num_frames": 2}, "num_frames is 2"),
        ({"use_beam": True}, "use workers"),
        ({"train_objects": (4, 2)}, "train_objects is"),
    ),
    "raycast/clevr_like": (
        ({"scene": "street"}, "scene is one of"),
        ({"channels": 1}, "channels must be 3"),
        ({"scene": "clevr", "num_frames": 2}, "num_frames must be 1"),
        ({"scene": "room", "height": 32}, "must be equal"),
        ({"scene": "clevrer", "height": 32}, "must be equal"),
        ({"scene": "clevrer", "num_frames": 129}, "total_frames = 128"),
        ({"num_objects": (11,)}, "max_objects = 10"),
        ({"samples": 0}, "samples"),
        ({"window": (0, 0)}, "window"),
        ({"num_objects": (40,), "max_objects": 40}, "at most 60%"),
    ),
    "scattered_digits/digits_quick": _SCATTERED,
    "scattered_shapes/quick": (
        *_SCATTERED,
        ({"scene_size": 40}, "window is 48"),
        ({"shape_size": 30}, "shape_size is 30"),
    ),
    "sprite_game/crops": (
        ({"height": 64}, "height and width is .64, 72., expected .72, 72."),
        ({"window": 0}, r"expected \(210, 160\)"),
        ({"channels": 1}, "channels is 1"),
        ({"max_objects": 40}, "expected 50"),
        ({"num_frames": 65}, "num_frames is 65"),
        ({"density": 0.0}, "density 0.0"),
        ({"extra_splits": {"test2": 3}}, "extra_splits"),
    ),
    "street/street64": (
        ({"height": 32}, _FRAMES),
        ({"channels": 1}, "channels must be 3"),
        ({"max_objects": 11}, "up to 12 cars"),
        ({"num_cars": (3, 2)}, "num_cars is"),
        ({"num_cars": (0, 8), "max_objects": 14}, "from 0 to 7"),
        ({"num_walkers": (-1, 2), "max_objects": 8}, "num_walkers is"),
        ({"height": 16, "width": 16}, "size 16"),
    ),
    "textured_digits/digits_1": (
        *_DIGITS,
        ({"extra_splits": {"test2": 3}}, "train, validation and test only"),
        ({"num_digits": 3}, "num_digits is 3"),
        ({"num_digits": 2, "max_objects": 1}, "num_digits is 2"),
        ({"channels": 3}, "num_frames and channels must be 1"),
        ({"cell": 32}, "cell is 32"),
        ({"shift": 10}, "shift is 10"),
    ),
}
# Sets of files from the user: what is missing, and what is made instead.
MISSING = {
    "atari/carnival_crops": ("episode_00000.npz", "sprite_game/crops"),
    "bouncing_balls/h5_color4": ("balls4mass64.h5", "bouncing_balls/color4"),
    "clevrer/slices345_proposals": (
        "missing or empty",
        "raycast/clevrer_like_slices345",
    ),
    "grand_central/center": ("grandcentral.avi", "street"),
    "ocrb/spmot": ("spmot.hdf5", "scattered_shapes/quick"),
    "shapes/h5": ("shapes.h5", "shapes/shapes28"),
}
# Sets that are made of files which are looked for when they are prepared.
WITHOUT_FILES = [
    "moving_digits/mnist",
    "multi_digits/mnist_1k",
    "scattered_digits/mnist_6",
    "textured_digits/mnist_1",
]


def digest(examples, keys=None):
    """Fingerprint of the content in the order of the keys; of some or all."""
    total = hashlib.sha256()
    for example in examples:
        flat = {**example, **example.get("factors", {})}
        flat.pop("factors", None)
        for key in keys or sorted(flat):
            total.update(np.ascontiguousarray(flat[key]).tobytes())
    return total.hexdigest()
