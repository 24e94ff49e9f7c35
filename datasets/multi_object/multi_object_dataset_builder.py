"""The published multi-object images: CLEVR, Multi-dSprites and others."""

import dataclasses
import functools

import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base
from tfdecomp.data.formats import downloads, manual
from tfdecomp.data.formats.multi_object import (
    multi_object_factors,
    multi_object_layouts,
    multi_object_records,
)


@dataclasses.dataclass
class MultiObjectConfig(builder_base.Config):
    """A published file, converted.

    Args:
        variant: Name of its layout in `multi_object_layouts.LAYOUTS`.
        test_files: Split to layout of further files, converted as a whole.
        full: Whether to convert the whole file as the split `train_full`.
        rest: Whether what train, test and validation leave is a split `rest`.
        crop: `"center"`, `"reference"` (that of IODINE's code) or `"none"`;
            windows of CLEVR's pictures, resized to `height` and `width`.
        train_objects: `(least, most)` objects of training examples; None: all.
        label_tolerance: Share of a picture's pixels that may belong to no
            entity, or to several; they become "ignore".
        stand_in: Generated set that shows something alike.
    """

    source: str = builder_base.DOWNLOADED
    box_kind: str = "modal"
    num_train: int = 60_000
    num_test: int = 320
    num_validation: int = 4_680
    variant: str = "tetrominoes"
    test_files: dict = dataclasses.field(default_factory=dict)
    full: bool = False
    rest: bool = False
    crop: str = "none"
    train_objects: tuple | None = None
    label_tolerance: float = 0.001
    stand_in: str = ""

    def __post_init__(self):
        super().__post_init__()
        known = multi_object_layouts.LAYOUTS
        for variant in (self.variant, *self.test_files.values()):
            if variant not in known:
                raise ValueError(
                    f"variant is {variant!r}, expected one of {list(known)}"
                )
        layout = self.layout
        if self.crop not in multi_object_records.CROPS or (
            self.crop != "none" and "clevr" not in self.variant
        ):
            raise ValueError(
                f"crop is {self.crop!r}, expected one of "
                f"{list(multi_object_records.CROPS)}, and 'none' for all "
                "but CLEVR"
            )
        if (self.num_frames, self.channels) != (1, layout.channels):
            raise ValueError(
                f"{self.variant} has images of {layout.channels} channels: "
                f"num_frames is {self.num_frames}, expected 1, and channels "
                f"{self.channels}, expected {layout.channels}"
            )
        if self.use_beam:
            raise ValueError(
                "use_beam: a compressed file is read from its start to its "
                "end by one process; use workers"
            )
        if self.train_objects is not None:
            self.train_objects = tuple(self.train_objects)
            low, high = self.train_objects
            if not 0 <= low <= high:
                raise ValueError(
                    f"train_objects is {self.train_objects}, expected (least, "
                    "most)"
                )

    @property
    def layout(self):
        """The `Layout` of the main file."""
        return multi_object_layouts.LAYOUTS[self.variant]

    def split_sizes(self):
        """Sizes of the splits that are known before the file is read."""
        sizes = {} if self.full else super().split_sizes()
        if self.train_objects:
            sizes.pop("train", None)
        return sizes

    def ranges(self):
        """Split to `(variant, first record, record after the last or None)`.

        Records keep their order; the main file comes first, from its start.
        """
        if self.full:
            ranges = {"train_full": (self.variant, 0, None)}
        else:
            ranges, begin = {}, 0
            for split in ("train", "test", "validation"):
                end = begin + getattr(self, f"num_{split}")
                if end > begin:
                    ranges[split] = (self.variant, begin, end)
                begin = end
            if self.rest:
                ranges["rest"] = (self.variant, begin, None)
        for split, variant in self.test_files.items():
            ranges[split] = (variant, 0, None)
        return ranges


_CLEVR = {
    "variant": "clevr_with_masks",
    "num_train": 70_000,
    "rest": True,
    "block_size": 8,
    "crop": "center",
    "height": 128,
    "width": 128,
    "max_objects": 10,
    "stand_in": "raycast/clevr_like",
}
_CONFIGS = {
    "clevr": _CLEVR,
    "clevr6": {**_CLEVR, "train_objects": (3, 6)},
    # The window of IODINE's published code, five rows lower.
    "clevr_reference": {**_CLEVR, "crop": "reference"},
    "clevr6_reference": {
        **_CLEVR,
        "crop": "reference",
        "train_objects": (3, 6),
    },
    "multi_dsprites_gray": {
        "variant": "multi_dsprites_colored_on_grayscale",
        "max_objects": 5,
        "stand_in": "multi_dsprites/iodine_gray",
    },
    "multi_dsprites_bin": {
        "variant": "multi_dsprites_binarized",
        "channels": 1,
        "max_objects": 3,
        "stand_in": "multi_dsprites/iodine_bin",
    },
    "multi_dsprites_colored": {
        "variant": "multi_dsprites_colored_on_colored",
        "max_objects": 4,
        "stand_in": "multi_dsprites/colored",
    },
    "tetrominoes": {
        "variant": "tetrominoes",
        "height": 35,
        "width": 35,
        "max_objects": 3,
        "stand_in": "tetrominoes/all19",
    },
    "objects_room": {
        "variant": "objects_room_train",
        "test_files": {
            "empty_room": "objects_room_test_empty_room",
            "six_objects": "objects_room_test_six_objects",
            "identical_color": "objects_room_test_identical_color",
        },
        "max_objects": 6,
        "stand_in": "raycast/room",
    },
}


class Builder(builder_base.DecompositionBuilder):
    """Published images of several objects, with masks and factors."""

    name = "tfdecomp_multi_object"
    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES = {
        "1.0.0": "First version.",
        "2.0.0": "CLEVR's window lies in the middle of the picture.",
    }
    DEFAULT_BUILDER_CONFIG_NAME = "tetrominoes"
    BUILDER_CONFIGS = [
        MultiObjectConfig(name=name, **fields)
        for name, fields in _CONFIGS.items()
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = multi_object_layouts.INSTRUCTIONS
    HOMEPAGE = "https://github.com/google-deepmind/multi_object_datasets"

    @property
    def OPTIONAL(self):
        """Pictures whose background has parts come with the raw map."""
        parts = self.builder_config.layout.background > 1
        return ("entities",) if parts else ()

    def factors(self):
        return multi_object_factors.declared(self.builder_config.layout)

    def extra_metadata(self):
        layout = self.builder_config.layout
        return {
            "has_ignore": True,
            "has_entities": layout.background > 1,
            "value_names": multi_object_factors.value_names(layout),
        }

    def _split_generators(self, dl_manager):
        sources = self._open(dl_manager)
        return {
            split: self._in_process(
                split,
                functools.partial(sources[variant].decoder.block, split, start),
                sources[variant].records.blocks(
                    start, stop, self.builder_config.block_size
                ),
            )
            for split, (variant, start, stop) in (
                self.builder_config.ranges().items()
            )
        }

    def _open(self, dl_manager):
        """Finds the files and checks their first records.

        Returns:
            Name of each layout to its `Source`.
        """
        config = self.builder_config
        dataset = f"{self.name}/{config.name}"
        layouts = multi_object_layouts.LAYOUTS
        variants = {variant for variant, *_ in config.ranges().values()}
        files = {variant: layouts[variant].file for variant in variants}
        base = multi_object_layouts.BASE_URL
        paths = downloads.locate(
            dl_manager,
            {file: base + file for file in files.values()},
            dataset=dataset,
            layout=multi_object_layouts.INSTRUCTIONS,
            stand_in=config.stand_in,
        )
        sources = {
            variant: multi_object_records.open_source(
                paths[file], dataset, variant, builder_base.plain(config)
            )
            for variant, file in sorted(files.items())
        }
        self._describe(sources)
        return sources

    def _describe(self, sources):
        """Puts into the metadata what the files say of themselves."""
        factors = set(self.factors())
        scales = dict(sources[self.builder_config.variant].decoder.scales)
        names = scales.pop("value_names", None)
        if names is not None:
            self.info.metadata["value_names"] = names
        if "position" in factors and scales.get("position", 0) is None:
            factors.remove("position")
        self.info.metadata.update(
            factor_names=sorted(factors),
            scales=scales,
            source_files=[
                # A downloaded file has a name of TFDS's making.
                {
                    **manual.describe(source.records.path),
                    "name": source.decoder.layout.file.rpartition("/")[2],
                }
                for source in sources.values()
            ],
        )
