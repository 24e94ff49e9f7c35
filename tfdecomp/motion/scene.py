"""One fixed camera's view, as a model sees it: what is behind, what moves."""

import dataclasses
import functools
import io
import os
import pathlib
import zipfile

import numpy as np

from tfdecomp.motion import background as background_lib
from tfdecomp.motion import beside, blobs, bridges, light

FILE_NAME = "scene.npz"
_LARGEST = 2**26  # pixels of a scene that is read
_WHITE = 0.8  # share of a typical object's difference that is white
# Of the level that a pixel of the background never reaches: an object has
# pixels far above it, and beside them those count that are not so far.
_LOW = np.float32(0.6)
_OF_ITS_BOX = np.pi / 4  # that an object fills: an ellipse
_FAINT = 0.2  # below are shadows, and halos of compression
_SAME_LIGHT = 0.003
_DARK, _BRIGHT = 0.2, 5.0  # gains beyond which light cannot be brought back
_PIXELS = 2**13  # that tell the light of a frame


@dataclasses.dataclass
class Scene:
    """A view at the size at which a model sees it.

    Attributes:
        background: The `Background`, of the size of the model's pictures.
        gain: Difference from the background of a typical object, in grey
            levels.
        length: Length of a typical object in pixels.
        width: Width of the same.
        min_area: Least pixels of what counts as something that moves.
        max_area: Most pixels; None: any.
        large_area: Pixels from which on a thing is larger than nearly all
            others; None: not known.
        region: `[h, w]` bool, where to look; None: everywhere.
        follows_light: Whether frames are brought to the background's light.
        cuts_bridges: Whether what only something faint joins is cut apart,
            see `bridges.cut`, and what stands beside something large, see
            `beside.part`: where nobody says how many there are.
    """

    background: background_lib.Background
    gain: float
    length: float
    width: float
    min_area: float = 1.0
    max_area: float | None = None
    large_area: float | None = None
    region: np.ndarray | None = None
    follows_light: bool = False
    cuts_bridges: bool = False

    def __post_init__(self):
        self._threshold = np.maximum(
            _LOW * self.background.threshold(), np.float32(_FAINT * self.gain)
        )
        if self.region is not None:
            self.region = np.asarray(self.region, bool)
            if self.region.shape != self.size:
                raise ValueError(
                    f"region is {list(self.size)} as the background, got "
                    f"{self.region.shape}"
                )

    @property
    def size(self):
        """`(h, w)`."""
        return self.background.size

    @property
    def threshold(self):
        """`[h, w]` difference above which a pixel is foreground."""
        return self._threshold

    def difference(self, frame):
        """`[h, w]` float32 distance of a frame from the background.

        Zeros of a frame without light, which shows nothing.

        Args:
            frame: `[h, w, C]` uint8.
        """
        if self._is_dark(frame):
            return np.zeros(self.size, np.float32)
        return self.background.difference(self._in_one_light(frame))

    def in_its_light(self, frame):
        """A frame as it would be in the background's light."""
        if self._is_dark(frame):  # there is nothing to be brought back
            return frame
        frame = self._in_one_light(frame)
        if self.background.cells:
            return self.background.evenly_lit(frame)
        return frame

    def _is_dark(self, frame):
        if not self.follows_light:
            return False
        return frame[self._some()].mean() < _DARK * self._ground.mean()

    def _in_one_light(self, frame):
        if not self.follows_light:
            return frame
        gain = self._gauge(frame[self._some()])
        if not _DARK < gain < _BRIGHT or abs(gain - 1) < _SAME_LIGHT:
            return frame
        return np.float32(1 / gain) * frame

    @functools.cached_property
    def _ground(self):
        """What is behind, at a few pixels."""
        return self.background.picture[self._some()]

    @functools.cached_property
    def _gauge(self):
        return light.Gauge(self._ground, self._threshold[self._some()])

    def _some(self):
        """A few thousand pixels, which tell one number."""
        step = max(1, int((np.prod(self.size) / _PIXELS) ** 0.5))
        return slice(step // 2, None, step), slice(step // 2, None, step)

    def moving(self, frame):
        """What moves in a frame `[h, w, C]`: `blobs.Blobs`."""
        return self.blobs(self.difference(frame))

    def blobs(self, difference):
        """The same of what `difference` gave."""
        found = blobs.find(
            difference,
            self._threshold,
            min_area=self.min_area,
            max_area=self.max_area,
            width=self.width,
            region=self.region,
        )
        if not self.cuts_bridges:
            return found
        found = bridges.cut(found, difference, self.min_area, self.width)
        if self.large_area is None:
            return found
        typical = _OF_ITS_BOX * self.length * self.width
        return beside.part(found, difference, self.large_area, typical)

    def picture(self, difference):
        """`[h, w, 3]` uint8 grey: black ground, bright objects."""
        grey = background_lib.as_picture(
            difference, self._threshold, _WHITE * self.gain
        )
        if self.region is not None:
            grey = grey * self.region
        return np.repeat(grey[..., None], 3, axis=-1)

    def pictures(self, frames, window=None):
        """Difference pictures of frames, or of a window of them.

        Args:
            frames: `[T, h, w, C]` uint8.
            window: Two slices of rows and columns that the frames show; None:
                all.

        Returns:
            `[T, h, w, 3]` uint8.
        """
        scene = self if window is None else self.window(window)
        shown = [scene.picture(scene.difference(frame)) for frame in frames]
        return np.stack(shown)

    def window(self, window):
        """The part of the scene in two slices, in the light as it is."""
        rows, columns = window
        box = rows.start, columns.start, rows.stop, columns.stop
        region = None if self.region is None else self.region[window]
        return dataclasses.replace(
            self,
            background=self.background.crop(box),
            region=region,
            follows_light=False,
        )

    def save(self, path):
        """Writes the scene to an `.npz` file, whole or not at all."""
        fields = {
            name: getattr(self, name)
            for name in (
                "gain",
                "length",
                "width",
                "min_area",
                "max_area",
                "large_area",
            )
            if getattr(self, name) is not None
        }
        if self.region is not None:
            fields["region"] = self.region
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            picture=self.background.picture.astype(np.float16),
            noise=self.background.noise,
            polarity=self.background.polarity,
            tail=self.background.tail,
            cells=self.background.cells,
            follows_light=self.follows_light,
            cuts_bridges=self.cuts_bridges,
            **fields,
        )
        path = pathlib.Path(path)
        partial = path.with_name(f".{path.name}.partial")
        try:
            partial.write_bytes(buffer.getvalue())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def load(path) -> Scene:
    """Reads what `Scene.save` wrote.

    Raises:
        ValueError: If the file is none, or damaged, or far too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > 16 * _LARGEST:
            raise ValueError(f"{size:,} bytes are too many for a scene")
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        background = background_lib.Background(
            content.pop("picture"),
            content.pop("noise"),
            int(content.pop("polarity")),
            float(content.pop("tail")),
            int(content.pop("cells", 0)),  # older ones have none
        )
        region = content.pop("region", None)
        flags = {
            "follows_light": bool(content.pop("follows_light")),
            "cuts_bridges": bool(content.pop("cuts_bridges", False)),
        }
        numbers = {name: float(value) for name, value in content.items()}
        return Scene(background, region=region, **flags, **numbers)
    except Exception as error:  # a changed byte may raise any of a dozen kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path} cannot be read as a scene ({reason}); make it again with "
            "'tfdecomp fit'"
        ) from error
