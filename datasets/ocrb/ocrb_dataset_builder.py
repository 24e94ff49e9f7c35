"""Videos of the object-centric representation benchmark, from its files."""

import dataclasses
import functools
import os
import pathlib

import tensorflow_datasets as tfds

from tfdecomp.data.building import builder_base
from tfdecomp.data.formats import manual, ocrb_hdf5


@dataclasses.dataclass
class OcrbConfig(builder_base.Config):
    """One of the three sets.

    Args:
        file_name: The HDF5 file.
        annotations: Path of the JSON file with the masks of the split `test`,
            or split to path; relative ones are in the manual folder. A config
            with annotations has labels and the annotated splits alone, so
            that no video of a labelled set is without them.
        stand_in: Generated set that shows something alike.
    """

    source: str = builder_base.MANUAL
    box_kind: str = "modal"
    num_frames: int = 10
    max_objects: int = 5
    file_name: str = "vmds.hdf5"
    annotations: str | dict = ""
    stand_in: str = "scattered_shapes/quick"

    def __post_init__(self):
        super().__post_init__()
        if self.channels != 3:
            raise ValueError(f"channels is {self.channels}, expected 3")
        if self.source != builder_base.MANUAL:
            raise ValueError(
                f"source is {self.source!r}, expected {builder_base.MANUAL!r}"
            )

    def annotation_paths(self):
        """Split to path of its annotations, as given."""
        if isinstance(self.annotations, str):
            return {"test": self.annotations} if self.annotations else {}
        return dict(self.annotations)


def _configs():
    for name in ("vmds", "spmot", "vor"):
        fields = {"file_name": f"{name}.hdf5"}
        yield OcrbConfig(name=name, **fields)
        yield OcrbConfig(
            name=f"{name}_labelled",
            annotations=f"{name}_test.json",
            max_objects=8,  # objects come and go
            **fields,
        )


class Builder(builder_base.DecompositionBuilder):
    """Short videos of a few objects, with masks where they are given."""

    name = "tfdecomp_ocrb"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    DEFAULT_BUILDER_CONFIG_NAME = "vmds"
    BUILDER_CONFIGS = list(_configs())
    MANUAL_DOWNLOAD_INSTRUCTIONS = ocrb_hdf5.LAYOUT
    HOMEPAGE = (
        "https://github.com/ecker-lab/object-centric-representation-benchmark"
    )

    @property
    def HAS_LABELS(self):
        """Where there are annotations."""
        return bool(self.builder_config.annotations)

    @property
    def OPTIONAL(self):
        """Annotated backgrounds may have parts."""
        return ("entities",) if self.HAS_LABELS else ()

    def extra_metadata(self):
        return {"has_ignore": self.HAS_LABELS, "has_entities": self.HAS_LABELS}

    def make_block(self, config, fresh=False):
        return functools.partial(self._file.block, builder_base.plain(config))

    def block_size(self):
        return self._file.block_size(self.builder_config.block_size)

    def check_inputs(self, dl_manager):
        config = self.builder_config
        dataset = f"{self.name}/{config.name}"
        find = functools.partial(
            manual.manual_file,
            dl_manager,
            dataset=dataset,
            layout=ocrb_hdf5.LAYOUT,
            stand_in=config.stand_in,
        )
        path = find(config.file_name)
        annotations = {}
        for split, given in config.annotation_paths().items():
            given = pathlib.Path(os.path.expanduser(given))
            elsewhere = len(given.parts) > 1
            annotations[split] = (
                path.parent / given if elsewhere else find(given.name)
            )
        self._file = ocrb_hdf5.OcrbFile(path, dataset, annotations)
        sizes = self._file.check(config)
        self.info.metadata.update(self._file.metadata())
        return sizes
