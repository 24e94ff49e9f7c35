"""Reads the files of a model folder, which may be a stranger's.

What a folder holds is data: each file is an ordinary one that lies in the
folder, of a size that such a file has, and says no more than its kind can
say. What does not keep to that is refused with one sentence, before memory is
taken for it. Bounds are far above what this package writes.
"""

import json
import os
import pathlib
import re
import stat
import zipfile

import h5py
import numpy as np

MODEL_NAME = "model.json"  # what to build
CHECKPOINT_FOLDER = "checkpoints"  # of a run

MOST_TEXT = 4 * 2**20  # bytes of a config or a description
MOST_WEIGHTS = 4 * 2**30  # bytes of a weights file; ours have 3 MiB
MOST_DEPTH = 48  # brackets within brackets; our models have 10
MOST_VALUES = 50_000  # of a description
# Stored weights hardly shrink, so a file that claims many times its own size
# was made to fill the memory.
MOST_EXPANSION = 16
FREE_BYTES = 16 * 2**20  # any file may claim so much
MOST_ARRAYS = 100_000
# Sides and counts that take memory without taking weights.
MOST_SIDE = 8192
MOST_PIXELS = 2**26
MOST_SLOTS = 2**14
MOST_NUMBER = 2**31
_SIDE = re.compile(r"size|shape|anchor|canvas|window|crop|pool|stride|kernel")
_MOST_REPEATS = 4096  # of layers, passes, factors

POLICIES = (
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "mixed_float16",
    "mixed_bfloat16",
)
_OURS = re.compile(r"tfdecomp\.(?:layers|models)(?:\.\w+){0,2}")
_MODELS = re.compile(r"tfdecomp\.models(?:\.\w+)?")
_KERAS_CLASSES = ("DTypePolicy",)


class ModelFileError(ValueError):
    """A file of a model that is not what it should be; says what to do."""


def reason(error) -> str:
    """What an exception says, in one line of bounded length."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line]
    # Keras wraps what went wrong inside into a page of advice.
    inner = [line for line in lines if line.startswith("Exception enc")]
    if inner:
        lines = [inner[-1].partition(":")[2].strip() or lines[0]]
    text = lines[0] if lines else type(error).__name__
    return printable(text)


def printable(text, most=300) -> str:
    """Text without what moves a terminal's cursor, cut to a length."""
    text = "".join(c if c.isprintable() else "?" for c in str(text))
    return text if len(text) <= most else text[: most - 3] + "..."


def check_place(path) -> pathlib.Path:
    """Refuses what is no ordinary file inside its folder.

    Args:
        path: A file of a model folder. Links are followed within the folder,
            and from a snapshot of the Hugging Face cache to its blobs.

    Returns:
        The path.

    Raises:
        FileNotFoundError: If there is nothing of that name.
        ModelFileError: If it is a folder, a device, a pipe or a broken link,
            or a link that leaves the folder.
    """
    path = pathlib.Path(path)
    if path.is_symlink():
        _check_link(path)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ModelFileError(
            f"{path} is no ordinary file (a folder, a device or a pipe); copy "
            "the model's folder again, whole"
        )
    return path


def _check_link(path):
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise ModelFileError(
            f"{path} is a link to what is not there; copy the model's folder "
            "again with the files that its links name"
        ) from None
    folder = path.parent.resolve()
    homes = [folder]
    if folder.parent.name == "snapshots":  # as the Hugging Face client has it
        homes.append(folder.parent.parent / "blobs")
    if not any(target.is_relative_to(home) for home in homes):
        raise ModelFileError(
            f"{path} is a link to {target}, outside the folder; if that is "
            "meant, copy the file into the folder"
        )


def read_bytes(path, most=MOST_TEXT) -> bytes:
    """Content of a small file.

    Args:
        path: See `check_place`.
        most: Bytes it may have.

    Raises:
        FileNotFoundError: If there is none.
        ModelFileError: If it lies outside, is no file, or is too large.
    """
    path = check_place(path)
    with open(path, "rb") as file:
        data = file.read(most + 1)
    _check_length(path, max(len(data), os.path.getsize(path)), most)
    return data


def _check_length(path, size, most):
    if size > most:
        raise ModelFileError(
            f"{path} has {size / 2**20:.1f} MiB; expected at most "
            f"{most / 2**20:g} MiB, so it is not what its name says; copy the "
            "model's folder again"
        )


def check_file(path, most) -> pathlib.Path:
    """`check_place` of a file of at most so many bytes, without reading it."""
    path = check_place(path)
    _check_length(path, os.path.getsize(path), most)
    return path


def read_text(path, most=MOST_TEXT) -> str:
    """`read_bytes` as UTF-8.

    Raises:
        ModelFileError: Also if it is no text.
    """
    data = read_bytes(path, most)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(
            f"{path} is no text in UTF-8 (byte {error.start}); copy the "
            "model's folder again"
        ) from None
    if "\0" in text:
        raise ModelFileError(
            f"{path} is no text: it has zero bytes; copy the model's folder "
            "again"
        )
    return text.replace("\r\n", "\n")


def read_json(path) -> dict:
    """`read_text` of a JSON object.

    Raises:
        ModelFileError: Also if it is no JSON object, is nested too deep, or
            has more values than a description has.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        cause = (
            "it is nested too deep"
            if isinstance(error, RecursionError)
            else reason(error)
        )
        raise ModelFileError(
            f"{path} cannot be read: {cause}; copy the model's folder again"
        ) from None
    if not isinstance(content, dict):
        raise ModelFileError(
            f"{path} holds a {type(content).__name__}; expected a JSON "
            "object, {...}; copy the model's folder again"
        )
    _check_size(path, content)
    return content


def _check_size(path, content):
    """Refuses what is too deep or too long to walk through later."""
    level, count = [content], 0
    for _ in range(MOST_DEPTH):
        count += len(level)
        if not level or count > MOST_VALUES:
            break
        level = [child for value in level for child in _children(value)]
    if level:
        raise ModelFileError(
            f"{path} is nested more than {MOST_DEPTH} deep or has more than "
            f"{MOST_VALUES} values, which no description of a model has; copy "
            "the model's folder again"
        )


def _children(value):
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def check_model(path, content, is_known=None):
    """Refuses a description of anything but a model of this package.

    Args:
        path: Where it comes from, for messages.
        content: JSON object of `model.json`.
        is_known: Whether a serialised object is of a class that the user's
            own program has registered; nothing is imported for it.

    Raises:
        ModelFileError: If it names a class that is not ours or a number that
            no model has.
    """
    policy, model = content.get("dtype_policy"), content.get("model")
    if policy not in POLICIES:
        raise ModelFileError(
            f"{path} has the dtype_policy {printable(repr(policy), 60)}; "
            f"expected one of {', '.join(POLICIES)}; copy the folder again"
        )
    is_known = is_known or (lambda value: False)
    module = model.get("module") if isinstance(model, dict) else None
    is_ours = isinstance(module, str) and _MODELS.fullmatch(module)
    # A layer of ours is known, too, and is no model.
    is_users = not str(module).startswith("tfdecomp.")
    is_users = is_users and isinstance(model, dict) and is_known(model)
    if not is_ours and not is_users:
        raise ModelFileError(
            f"{path} describes no model of tfdecomp: expected a class of "
            f"tfdecomp.models, got {printable(repr(module), 60)}; give a "
            "folder made by 'tfdecomp publish' or by training"
        )
    _check_part(path, model, "model", is_known)


def _check_part(path, value, key, is_known):
    if isinstance(value, dict):
        if "class_name" in value and not is_known(value):
            _check_class(path, value)
        for name, child in value.items():
            _check_part(path, child, name, is_known)
    elif isinstance(value, list):
        if len(value) > _MOST_REPEATS:
            raise ModelFileError(
                f"{path} has {len(value)} values for {printable(key, 40)!r}; "
                f"expected at most {_MOST_REPEATS}"
            )
        for child in value:
            _check_part(path, child, key, is_known)
        if key == "image_size":
            _check_pixels(path, value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_number(path, value, key)


def _check_class(path, value):
    """A serialised object is of ours, or Keras' type of numbers."""
    name, module = value["class_name"], value.get("module")
    registered = value.get("registered_name")
    is_ours = (
        isinstance(name, str)
        and isinstance(module, str)
        and _OURS.fullmatch(module)
        and registered == f"tfdecomp>{name}"
    )
    is_keras = module == "keras" and name in _KERAS_CLASSES
    if not (is_ours or (is_keras and registered is None)):
        raise ModelFileError(
            f"{path} names the class {printable(f'{module}.{name}', 100)}, "
            "which is no layer or model of tfdecomp; a model's folder may "
            "name no others"
        )
    if is_keras:
        config = value.get("config")
        policy = config.get("name") if isinstance(config, dict) else None
        if policy not in POLICIES:
            raise ModelFileError(
                f"{path} asks for numbers of type "
                f"{printable(repr(policy), 60)}; expected one of "
                f"{', '.join(POLICIES)}"
            )


def _check_pixels(path, size):
    numbers = [n for n in size if isinstance(n, (int, float))]
    if len(numbers) == len(size) and np.prod(numbers, dtype=float) > (
        MOST_PIXELS
    ):
        raise ModelFileError(
            f"{path} has frames of {'x'.join(map(str, size))} pixels; "
            f"expected at most {MOST_PIXELS} in all"
        )


def _check_number(path, value, key):
    most = MOST_NUMBER
    if isinstance(value, int) and _SIDE.search(key):
        most = MOST_SIDE
    elif key == "num_slots":
        most = MOST_SLOTS
    elif key.startswith("num_") or key in ("depth", "blocks", "channels"):
        most = _MOST_REPEATS
    # NaN is above no bound and below none.
    if not -most <= value <= most:
        raise ModelFileError(
            f"{path} has {printable(key, 40)} = {printable(value, 40)}; "
            f"expected a number of at most {most}; copy the folder again, or "
            "write to who made it"
        )


def check_weights(path) -> tuple[int, int]:
    """Refuses a weights file that reaches outside or would fill the memory.

    Args:
        path: A Keras weights file, HDF5.

    Returns:
        How many numbers it holds, and in how many arrays.

    Raises:
        FileNotFoundError: If there is none.
        ModelFileError: If it is no such file, refers to other files, or
            claims to hold much more than it has bytes.
    """
    path = check_place(path)
    found = _Held(path)
    try:
        with h5py.File(path, "r") as file:
            _walk(file, found)
    except ModelFileError:
        raise
    # h5py has no class for what a damaged file can do to it.
    except Exception as error:
        raise ModelFileError(
            f"{path} is no readable weights file ({reason(error)}); copy the "
            "model's folder again"
        ) from None
    return found.numbers, found.arrays


class _Held:
    """What a file of arrays claims to hold, counted while it is walked."""

    def __init__(self, path):
        self.path = path
        self.size = os.path.getsize(path)
        self.most = FREE_BYTES + MOST_EXPANSION * self.size
        self.numbers = self.arrays = self.bytes = 0

    def add(self, name, shape, itemsize):
        """Counts one array; raises when it is too much."""
        numbers = 1
        for side in shape:
            numbers *= int(side)
        self.numbers += numbers
        self.arrays += 1
        self.bytes += numbers * itemsize
        if self.bytes > self.most or self.arrays > MOST_ARRAYS:
            raise ModelFileError(
                f"{self.path} has {self.size / 2**20:.1f} MiB and claims to "
                f"hold {self.bytes / 2**20:.0f} MiB or more (at "
                f"{printable(name, 60)}), which no weights file does; copy "
                "the model's folder again"
            )


def _walk(file, found):
    """Counts the datasets; each object once, however often it is linked."""
    groups, seen = [("", file)], set()
    while groups:
        where, group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ModelFileError(
                    f"{found.path} refers to elsewhere at "
                    f"{printable(f'{where}/{name}', 100)}, which a weights "
                    "file does not; copy the model's folder again"
                )
            item = group[name]
            key = h5py.h5o.get_info(item.id).addr
            if key in seen:
                continue
            seen.add(key)
            if len(seen) > MOST_ARRAYS:
                raise ModelFileError(
                    f"{found.path} has more than {MOST_ARRAYS} entries, which "
                    "no weights file has; copy the model's folder again"
                )
            if isinstance(item, h5py.Group):
                groups.append((f"{where}/{name}", item))
            else:
                _count(f"{where}/{name}", item, found)


def _count(name, item, found):
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiubV":
        raise ModelFileError(
            f"{found.path} has something else than numbers at "
            f"{printable(name, 100)}; copy the model's folder again"
        )
    if item.external or item.is_virtual:
        raise ModelFileError(
            f"{found.path} takes {printable(name, 100)} out of another file, "
            "which a weights file does not; copy the model's folder again"
        )
    found.add(name, item.shape or (), item.dtype.itemsize)


def check_archive(path):
    """Refuses an archive of arrays that would fill the memory.

    Args:
        path: An `.npz` file, such as a checkpoint.

    Raises:
        FileNotFoundError: If there is none.
        ModelFileError: If it is no such file, or claims to hold much more
            than it has bytes.
    """
    path = check_place(path)
    found = _Held(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                found.add(member.filename, (member.file_size,), 1)
                _check_member(archive, member, found)
    except ModelFileError:
        raise
    except FileNotFoundError:
        raise
    # zipfile raises what its file leads it to: NotImplementedError for a
    # method, EOFError, struct.error and more.
    except Exception as error:
        raise ModelFileError(
            f"{path} is no readable archive of arrays ({reason(error)})"
        ) from None


def array_header(file):
    """`(shape, dtype)` that an open npy file claims; its content is left.

    Raises:
        ValueError: If it is no npy file.
        KeyError: If it is one of a version that plain arrays do not have.
    """
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, _, dtype = read(file)
    return shape, dtype


def _check_member(archive, member, found):
    """The header of an array claims what the member holds."""
    with archive.open(member) as file:
        shape, dtype = array_header(file)
    claimed = dtype.itemsize
    for side in shape:
        claimed *= int(side)
    if dtype.hasobject or claimed > member.file_size:
        raise ModelFileError(
            f"{found.path} claims {claimed / 2**20:.1f} MiB of "
            f"{printable(dtype, 40)} for {printable(member.filename, 60)}, "
            f"which has {member.file_size / 2**20:.1f} MiB"
        )
