"""Recorded episodes of Atari games, converted to npz files.

The original recordings are pickles, and reading a pickle runs whatever code it
holds; so nothing here reads one, and npz files are opened without the pickles
that they may have inside.
"""

import contextlib
import functools
import pathlib
import re
import zipfile
import zlib

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.formats import color_components, manual
from tfdecomp.simulation import streams
from tfdecomp.untrusted import model_files

DATASET = "atari"
LAYOUT = """\
Expected files in the manual folder, one folder for each game (SpaceInvaders,
Asteroids, Carnival, WizardOfWor):
  SpaceInvaders/episode_00000.npz, episode_00001.npz, ... without a gap, with
      frames   uint8 [N, H, W, 3]
      actions  int32 [N]
      rewards  float32 [N]
The recordings, GitHub e2crawfo/atari_rollouts, are pickles. Reading a pickle
can run any code, so they are never read here. Convert them in an isolated
environment; datasets/atari/README.md has the script. Or let today's emulator
play in their place: prepare the set with --record."""

_AGAIN = (
    "convert it again, or remove it and prepare the set with --record.\n"
    f"{LAYOUT}"
)
_NAME = re.compile(r"episode_(\d{5})\.npz")
_MEMBERS = {"frames": "uint8", "actions": "int32", "rewards": "float32"}
_LISTED = 5  # names in a message
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, KeyError)


class AtariEpisodes:
    """Episodes of one game, checked and divided into splits.

    Args:
        folder: The manual folder.
        dataset: Name of the dataset, for messages.
        config: Fields of the config.
        rule: `episode_clips.ClipRule`.

    Raises:
        DatasetInputError: If files are missing or are not as they should be.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.atari_episodes import AtariEpisodes
        >>> config = builders.make("atari/carnival_crops").builder_config
        >>> folder = builders.folder() / "atari" / "dummy_data"
        >>> episodes = AtariEpisodes(folder, "atari", config, config.rule())
        >>> list(episodes.sizes())
        ['train', 'validation']
    """

    def __init__(self, folder, dataset, config, rule):
        self.folder = pathlib.Path(folder) / config.game
        self.dataset = dataset
        self.config = config
        self.rule = rule
        self.paths = self._find()
        self.lengths = [check(path, dataset, config) for path in self.paths]
        self.splits = self._divide()
        # Number of the first example of each episode, and behind the last.
        self._ends = {
            split: np.cumsum([0, *(self._count(n) for n in numbers)])
            for split, numbers in self.splits.items()
        }

    def _find(self):
        names = []
        if self.folder.is_dir():
            names = sorted(entry.name for entry in self.folder.iterdir())
        numbers = [int(m[1]) for m in map(_NAME.fullmatch, names) if m]
        expected = 0
        while expected in numbers:
            expected += 1
        if numbers and expected == len(numbers):
            return [self.folder / f"episode_{n:05d}.npz" for n in numbers]
        name = f"episode_{expected:05d}.npz"
        place = self.folder if names else self.folder.parent
        if not names and place.is_dir():
            names = sorted(entry.name for entry in place.iterdir())
        raise errors.MissingFileError(
            f"{self.config.game}/{name} is missing in {self.folder.parent}; "
            f"found {names[:_LISTED] or 'nothing'} in {place}",
            dataset=self.dataset,
            path=self.folder / name,
            expected=name,
            found=names,
            hint="convert the recordings into that folder or pass "
            "--manual_dir; or use the generated set "
            f"{self.config.stand_in!r}, which needs no file.\n{LAYOUT}",
        )

    def _divide(self):
        """Split to numbers of its episodes; the last ones are held out."""
        config, count = self.config, len(self.paths)
        held_out = num_held_out(config, count)
        if count < 2 * held_out + 1:
            raise _error(
                self.dataset,
                f"{self.folder} has {count} episodes, too few to hold out "
                f"{held_out} each for validation and test",
                self.folder,
                2 * held_out + 1,
                count,
            )
        first, second = count - 2 * held_out, count - held_out
        episodes = list(range(count))
        parts = {
            "train": episodes[:first],
            "validation": episodes[first:second],
            "test": episodes[second:],
        }
        return {split: parts[split] for split in config.splits}

    def _count(self, episode):
        return self.rule.count(self.lengths[episode])

    def sizes(self):
        """Split to number of examples."""
        return {split: int(ends[-1]) for split, ends in self._ends.items()}

    def metadata(self):
        """What the files say about themselves, for the dataset's metadata."""
        return {
            "source_files": [manual.describe(path) for path in self.paths],
            "episodes": self.splits,
        }

    def block(self, split, start, stop):
        """Reads the examples `start`, ..., `stop - 1` of a split."""
        config, examples = self.config, []
        known = episode = None
        for index in range(start, stop):
            turn = np.searchsorted(self._ends[split], index, "right") - 1
            if turn != known:
                known, number = turn, self.splits[split][turn]
                episode = self._episode(number)
                rng = streams.example_rng(
                    config.seed, DATASET, f"{config.game} clips", 0, number
                )
                # The same cuts, whatever split an episode is in.
                size = episode["video"].shape[1:3]
                cuts = self.rule.cuts(rng, len(episode["video"]), size)
            cut = cuts[index - self._ends[split][turn]]
            clip = self.rule.cut(episode, cut)
            del clip["factors"]
            clip["index"] = number
            clip["crop_offset"] = cut[1:].astype(np.int32)
            if config.pseudo_boxes:
                clip |= self._labels(clip)
            examples.append(clip)
        return examples

    def _labels(self, clip):
        """Pseudo boxes of a clip, of what is seen in it alone."""
        boxes = color_components.tracks(clip["video"])
        slots, (frames, count) = self.config.max_objects, boxes.shape[:2]
        if count > slots:
            path, begin = self.paths[clip["index"]], clip["frame_index"][0]
            raise errors.AnnotationError(
                f"frames {begin} to {begin + frames - 1} of {path} have "
                f"{count} tracks of pseudo boxes, more than max_objects = "
                f"{slots}",
                dataset=self.dataset,
                path=path,
                expected=slots,
                found=count,
                hint="raise max_objects, up to 254, or set pseudo_boxes to "
                "false to have none",
            )
        boxes = np.pad(boxes, ((0, 0), (0, slots - count), (0, 0)))
        return {
            "boxes": boxes,
            "visibility": boxes.any(-1).astype(np.uint8),
            "num_objects": count,
        }

    def _episode(self, number):
        path = self.paths[number]
        with _explained(path, self.dataset):
            frames, actions, rewards = _load(path, path.stat().st_mtime_ns)
        rows = slice(self.config.first_row, self.config.last_row + 1)
        return {
            "video": frames[:, rows],
            "actions": actions,
            "rewards": rewards,
        }


def check(path, dataset, config):
    """Checks types and shapes of a file by its headers alone.

    Args:
        path: The npz file.
        dataset: Name of the dataset, for messages.
        config: Fields of the config.

    Returns:
        Its number of frames.

    Raises:
        DatasetInputError: If it is not as it should be.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.atari_episodes import check
        >>> config = builders.make("atari/carnival_crops").builder_config
        >>> folder = builders.folder() / "atari" / "dummy_data"
        >>> check(folder / "Carnival" / "episode_00000.npz", "atari", config)
        9
    """
    headers = _headers(path, dataset)
    for name, dtype in _MEMBERS.items():
        if name not in headers:
            raise _error(
                dataset,
                f"{path} has no array {name!r}; found {sorted(headers)}",
                path,
                sorted(_MEMBERS),
                sorted(headers),
            )
        shape, found = headers[name]
        if found.hasobject:
            raise _error(
                dataset,
                f"{name} in {path} is an array of Python objects, that is "
                "a pickle, expected plain numbers",
                path,
                dtype,
                str(found),
            )
        axes = ("N", "H", "W", 3) if name == "frames" else ("N",)
        fits = len(shape) == len(axes) and shape[3:] in ((), (3,))
        if found != np.dtype(dtype) or not fits:
            raise _error(
                dataset,
                f"{name} in {path} is {found} {shape}, expected {dtype} {axes}",
                path,
                (dtype, axes),
                (str(found), shape),
            )
    (length, *size, _), _ = headers["frames"]
    expected = [config.source_height, config.source_width]
    if size != expected:
        raise _error(
            dataset,
            f"{path} has frames of {size[0]}x{size[1]} pixels, expected "
            f"{expected[0]}x{expected[1]}",
            path,
            expected,
            size,
            errors.ResolutionError,
        )
    for name in ("actions", "rewards"):
        count = headers[name][0][0]
        if count != length:
            raise _error(
                dataset,
                f"{path} has {length} frames but {count} {name}",
                path,
                length,
                count,
            )
    if length < config.num_frames:
        raise _error(
            dataset,
            f"{path} has {length} frames, fewer than the "
            f"{config.num_frames} of a clip",
            path,
            config.num_frames,
            length,
            errors.TruncatedError,
        )
    return length


def _headers(path, dataset):
    """Name of each array to `(shape, dtype)`; reads no content."""
    with (
        _explained(path, dataset),
        zipfile.ZipFile(path) as archive,
    ):
        headers = {}
        for member in archive.namelist():
            with archive.open(member) as file:
                header = model_files.array_header(file)
            headers[member.removesuffix(".npy")] = header
        return headers


def num_held_out(config, count):
    """Episodes that are held out for validation, and again for test.

    Args:
        config: Fields of the config.
        count: Episodes of the game.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.atari_episodes import num_held_out
        >>> config = builders.make("atari/asteroids_crops").builder_config
        >>> num_held_out(config, count=80)  # 5 % of them
        4
    """
    if config.held_out_episodes is not None:
        return config.held_out_episodes
    return max(1, round(config.held_out_share * count))


def _error(dataset, problem, path, expected, found, kind=errors.LayoutError):
    return kind(
        problem,
        dataset=dataset,
        path=path,
        expected=expected,
        found=found,
        hint=_AGAIN,
    )


@functools.lru_cache(maxsize=1)  # clips of an episode follow one another
def _load(path, changed):
    del changed  # a file that is replaced is read again
    with open(path, "rb") as file:
        arrays = np.load(file, allow_pickle=False)
        return tuple(arrays[name] for name in _MEMBERS)


@contextlib.contextmanager
def _explained(path, dataset):
    """Says what is wrong with a file that cannot be read."""
    try:
        yield
    except errors.DatasetInputError:
        raise
    except (*_BROKEN, ValueError) as error:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(2)
        other = head not in (b"", b"PK")  # how every npz file begins
        kind = errors.LayoutError if other else errors.TruncatedError
        what = "a pickle or another kind of file" if other else "cut or damaged"
        raise kind(
            f"{path} cannot be read as npz ({error}); it has {size:,} bytes "
            f"and is probably {what}",
            dataset=dataset,
            path=path,
            expected="a whole npz file of plain arrays",
            found=f"{size} bytes",
            hint=_AGAIN,
        ) from error
