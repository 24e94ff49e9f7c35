"""What a pipeline is asked to do, checked against the dataset."""

import dataclasses

from tfdecomp.data import combinations, preprocess, reader

CLIPS = ("random", "first", "windows", "all")


@dataclasses.dataclass
class Plan:
    """The arguments of `make_dataset`, checked against a `Source`.

    Examples:
        >>> from tfdecomp.data.reader import Source
        >>> from tfdecomp.data.plan import Plan
        >>> features = {"video": ((20, 64, 64, 3), "uint8")}
        >>> source = Source("a", {"max_objects": 4}, features, None)
        >>> plan = Plan(source, 2, num_frames=5, frame_stride=3, labels=())
        >>> plan.span  # of the frames 0, 3, 6, 9 and 12
        13
    """

    source: reader.Source
    batch_size: int
    num_frames: int | None = None
    clip: str = "random"
    frame_stride: int = 1
    max_frames: int | None = None
    crop: tuple | None = None
    resize: tuple | int | None = None
    resize_method: str = "bilinear"
    channels: int = 3
    dtype: str = "uint8"
    labels: tuple = ("segmentation",)
    shuffle: bool = True
    shuffle_buffer: int = 1000
    seed: int = 0
    repeat: bool = True
    cache: str = "none"
    max_objects: int | None = None
    deterministic: bool = True
    drop_remainder: bool = True
    pad_last: bool = False
    filter_objects: tuple | None = None
    without: tuple | dict | None = None
    only: tuple | dict | None = None
    grey: bool = False

    def __post_init__(self):
        total = self.source.video_shape[0]
        if self.max_frames is not None:
            if self.max_frames > total:
                self.refuse("max_frames", self.max_frames, f"at most {total}")
            total = self.max_frames
        self.total = total
        for name, allowed in (
            ("clip", CLIPS),
            ("dtype", ("uint8", "float32")),
            ("channels", (1, 3)),
            ("resize_method", preprocess.RESIZE_METHODS),
        ):
            if getattr(self, name) not in allowed:
                self.refuse(name, getattr(self, name), f"one of {allowed}")
        if self.batch_size < 1:
            self.refuse("batch_size", self.batch_size, "at least 1")
        self._check_clip()
        self._check_frames()
        self._check_labels()
        self._make_filters()

    def refuse(self, name, value, expected):
        """Raises the error of an argument that does not fit."""
        raise ValueError(
            f"{self.source.label}: {name} is {value!r}, expected {expected}"
        )

    def _check_clip(self):
        if self.num_frames is None or self.clip == "all":
            wanted = self.num_frames or self.total
            if wanted != self.total:
                self.refuse(
                    "num_frames", wanted, f"{self.total} with clip='all'"
                )
            self.num_frames, self.clip = self.total, "first"
        if self.num_frames < 1 or self.frame_stride < 1:
            self.refuse("num_frames", self.num_frames, "at least 1")
        self.span = (self.num_frames - 1) * self.frame_stride + 1
        if self.span > self.total:
            self.refuse(
                "the clip length",
                self.span,
                f"at most the {self.total} frames of the stored videos; "
                "lower CLIP_LENGTH (num_frames) or frame_stride",
            )
        self.windows = self.total // self.span if self.clip == "windows" else 1

    def _check_frames(self):
        _, height, width, _ = self.source.video_shape
        self.stored_size = (height, width)
        is_random = self.crop is not None and self.crop[0] == "random"
        self.has_offset = is_random or "crop_offset" in self.source.features
        if self.crop is not None:
            place = (0, 0, *self.crop[1:]) if is_random else self.crop
            top, left, rows, columns = place
            inside = 0 <= top <= height - rows and 0 <= left <= width - columns
            if rows < 1 or columns < 1 or not inside:
                self.refuse(
                    "crop", self.crop, f"a window inside {height}x{width}"
                )
            height, width = rows, columns
        if isinstance(self.resize, int):
            self.resize = (self.resize, self.resize)
        if self.resize is not None and min(self.resize) < 1:
            self.refuse("resize", self.resize, "a size in pixels")
        if self.resize is not None and tuple(self.resize) == (height, width):
            self.resize = None

    def _check_labels(self):
        self.stored = {n: self.source.resolve(n) for n in self.labels}
        slots = self.source.metadata["max_objects"]
        if self.max_objects is not None and self.max_objects < slots:
            self.refuse(
                "max_objects",
                self.max_objects,
                f"at least {slots}, the slots of the stored labels; to leave "
                "out scenes with more objects set filter_objects",
            )

    def _make_filters(self):
        """Predicates of examples, and the labels that they look at."""
        self.filters, self.filtered_by = [], []
        if self.filter_objects:
            low, high = self.filter_objects
            if low > high:
                self.refuse(
                    "filter_objects", self.filter_objects, "(least, most)"
                )
            self.filters.append(preprocess.count_filter(low, high))
        for name, wanted in (("without", False), ("only", True)):
            asked = getattr(self, name)
            if asked:
                values = combinations.resolve(self.source, name, asked)
                self.filtered_by += values
                self.filters.append(
                    preprocess.combination_filter(values, wanted)
                )
        if self.filters:
            self.filtered_by.append("num_objects")

    def names(self):
        """What must be parsed."""
        names = ["video", *self.stored.values(), *self.filtered_by]
        if "crop_offset" in self.source.features:
            names.append("crop_offset")
        if "boxes" in names and (self.crop or self.resize):
            names.append("visibility")
        return list(dict.fromkeys(names))
