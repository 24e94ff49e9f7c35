"""What a request brings, written to a file: bounded while it comes.

A video or a picture comes as a form, as from a page, or bare with its type; an
array as JSON, `.npy` or `.npz`. All become a file in a folder of the request's
own, whose name is ours. What the owner calls it is for messages alone.
"""

import asyncio
import dataclasses
import io
import json
import pathlib
import shutil
import zipfile

import numpy as np

from tfdecomp.data.video import array_files
from tfdecomp.serving.footage import SUFFIXES
from tfdecomp.serving.refusals import GONE, Refused
from tfdecomp.untrusted import model_files

NPZ = ".npz"
_STEM = "input"
_MOST_NAME = 100  # characters
_MOST_FIELDS, _MOST_FIELD = 16, 4096
_FORM, _JSON = "multipart/form-data", "application/json"
_ARRAYS = ("application/x-npy", "application/octet-stream")
_ARCHIVES = ("application/x-npz", "application/zip")
# Of types that are not called as their files.
_SUFFIXES = {
    "matroska": ".mkv",
    "quicktime": ".mov",
    "msvideo": ".avi",
    "ms-wmv": ".wmv",
    "jpeg": ".jpg",
}
_TYPES = (
    "a form with a file (multipart/form-data), application/json, "
    "application/x-npy, application/x-npz, video/* or image/*"
)


@dataclasses.dataclass
class Upload:
    """A file that came with a request.

    Attributes:
        path: Where it lies.
        name: What its owner calls it; for messages and tables alone.
        fields: Other fields of the form or of the JSON object.
    """

    path: pathlib.Path
    name: str
    fields: dict = dataclasses.field(default_factory=dict)

    @property
    def is_array(self):
        """Whether it is a `.npy` file."""
        return array_files.is_array(self.path)


async def save(request, folder, settings) -> Upload:
    """Writes what a request brings to a file.

    Args:
        request: A `fastapi.Request`, whose body nobody has read.
        folder: A folder of its own.
        settings: The `Settings`.

    Raises:
        Refused: If it is too large, too slow, or of another kind.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].lower()
    is_array = kind in (_JSON, *_ARRAYS, *_ARCHIVES)
    most = settings.max_array if is_array else settings.max_upload
    check_length(request.headers, most)
    take = _taker(kind.strip())
    try:
        async with asyncio.timeout(settings.upload_s):
            upload = await take(request, pathlib.Path(folder), most)
    except TimeoutError:
        raise Refused(
            408,
            f"the upload took longer than {settings.upload_s:g} seconds; send "
            "a smaller file, or over a faster line",
        ) from None
    if upload.path.suffix == NPZ:
        unpack = asyncio.to_thread(_unpacked, upload, settings.max_array)
        return await unpack
    return upload


def check_length(headers, most):
    """Refuses what is too large by its own words, before any of it is read.

    Args:
        headers: Headers of the request.
        most: Most bytes.

    Raises:
        Refused: If it says more, or no number.

    Examples:
        >>> from tfdecomp.serving.uploads import check_length
        >>> check_length({"content-length": "5000000000"}, most=1000)
        Traceback (most recent call last):
            ...
        tfdecomp.serving.refusals.Refused: the upload has 5,000,000,000 ...
    """
    said = headers.get("content-length", "0")
    if not (said.isascii() and said.isdigit()):
        raise Refused(400, "Content-Length is no number; leave it to a library")
    if int(said) > most:
        raise Refused(
            413,
            f"the upload has {int(said):,} bytes, and this server takes "
            f"{most:,} at most; send less",
        )


def shown_name(name) -> str:
    """What a file is called in messages and tables.

    Examples:
        >>> from tfdecomp.serving.uploads import shown_name
        >>> shown_name("../../etc/fish.mp4"), shown_name("C:\\\\clips\\\\a.gif")
        ('fish.mp4', 'a.gif')
    """
    last = str(name or "").replace("\\", "/").rpartition("/")[2]
    return model_files.printable(last, _MOST_NAME) or _STEM


def suffix_of(kind) -> str:
    """The suffix that files of a type have, if any have it.

    Examples:
        >>> from tfdecomp.serving.uploads import suffix_of
        >>> suffix_of("video/mp4"), suffix_of("video/x-matroska")
        ('.mp4', '.mkv')
    """
    name = kind.partition("/")[2].removeprefix("x-")
    return _SUFFIXES.get(name, f".{name}")


def _taker(kind):
    """The function that reads a body of this type."""
    if kind == _FORM:
        return _take_form
    if kind == _JSON:
        return _take_json
    if kind in _ARRAYS:
        return _bare(array_files.SUFFIX)
    if kind in _ARCHIVES:
        return _bare(NPZ)
    if kind.startswith(("video/", "image/")):
        return _bare(_suffix(suffix_of(kind), kind))
    raise Refused(
        415, f"the body is of the type {kind or 'none'!r}; send {_TYPES}"
    )


def _suffix(suffix, what):
    """One of our own suffixes; never a piece of somebody's text."""
    for known in (*SUFFIXES, NPZ):
        if suffix and suffix.lower() == known:
            return known
    raise Refused(
        415,
        f"{what} is of no kind that is read; send a video (mp4, webm, gif, "
        "...), a picture, .npy or .npz",
    )


async def _pieces(request, most):
    """The body, piece by piece, as far as it is not too long."""
    total, has_more = 0, True
    while has_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Refused(GONE, "the client hung up before the upload's end")
        has_more = message.get("more_body", False)
        piece = message.get("body", b"")
        total += len(piece)
        if total > most:
            raise Refused(
                413,
                f"the upload has more than the {most:,} bytes that this "
                "server takes; send less",
            )
        yield piece


async def _body(request, most):
    return b"".join([piece async for piece in _pieces(request, most)])


def _bare(suffix):
    """What takes a body that is the file."""

    async def take(request, folder, most):
        path = folder / f"{_STEM}{suffix}"
        with open(path, "wb") as file:
            async for piece in _pieces(request, most):
                await asyncio.to_thread(file.write, piece)
        return Upload(path, f"the {suffix.removeprefix('.')} file")

    return take


async def _take_form(request, folder, most):
    """The one file of a form."""
    # So that a form is bounded while it comes, too.
    request.stream = lambda: _pieces(request, most)
    async with request.form(
        max_files=1, max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD
    ) as form:
        files = [value for value in form.values() if hasattr(value, "filename")]
        if not files:
            raise Refused(400, "the form has no file; add one, such as 'file'")
        name = shown_name(files[0].filename)
        suffix = _suffix(pathlib.PurePath(name).suffix, name)
        path = folder / f"{_STEM}{suffix}"
        await asyncio.to_thread(_copy, files[0].file, path)
        fields = {k: v for k, v in form.items() if isinstance(v, str)}
    return Upload(path, name, fields)


def _copy(source, path):
    source.seek(0)
    with open(path, "wb") as file:
        shutil.copyfileobj(source, file)


async def _take_json(request, folder, most):
    body = await _body(request, most)
    path = folder / f"{_STEM}{array_files.SUFFIX}"
    fields = await asyncio.to_thread(_write_json, body, path)
    return Upload(path, "the array", fields)


def _write_json(body, path):
    """Writes the `video` of a JSON object; returns the other fields."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = str(error) or "it is nested too deep"
        raise Refused(400, f"the body is no JSON ({reason})") from None
    if not isinstance(found, dict) or "video" not in found:
        raise Refused(
            400,
            'the JSON has no video; send {"video": [T][H][W][C]}, numbers '
            "from 0 to 255, or floating point from 0 to 1",
        )
    np.save(path, array_of(found.pop("video")))
    simple = (str, int, float)
    return {k: v for k, v in found.items() if isinstance(v, simple)}


def array_of(nested) -> np.ndarray:
    """Nested lists as an array: whole numbers are bytes, others are floats.

    Args:
        nested: Lists of lists of numbers, all of one length.

    Raises:
        Refused: If they are no array of numbers.

    Examples:
        >>> from tfdecomp.serving.uploads import array_of
        >>> array_of([[0, 255]]).dtype, array_of([[0.5, 1]]).dtype
        (dtype('uint8'), dtype('float32'))
    """
    try:
        array = np.asarray(nested)
    except (ValueError, OverflowError):
        array = np.empty(0, object)
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf" or not array.ndim:
        raise Refused(
            400,
            "video is no array of numbers; send lists of one length in each "
            "axis, [T][H][W][C]",
        )
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.size and not 0 <= array.min() <= array.max() <= 255:
        raise Refused(
            422,
            f"video has values from {array.min()} to {array.max()}; whole "
            "numbers are from 0 to 255",
        )
    return array.astype(np.uint8)


def _unpacked(upload, most):
    """The `video` of an archive, as a file; no more of it than is allowed."""
    path = upload.path.with_suffix(array_files.SUFFIX)
    try:
        with zipfile.ZipFile(io.BytesIO(upload.path.read_bytes())) as archive:
            data = _member(archive, most)
    except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise _no_archive(upload.name, error) from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise _no_archive(upload.name, error) from None
    path.write_bytes(data)
    upload.path.unlink()
    return dataclasses.replace(upload, path=path)


def _member(archive, most):
    """Bytes of the array of an archive."""
    names = [info for info in archive.infolist() if not info.is_dir()]
    found = [info for info in names if info.filename == "video.npy"]
    if len(names) != 1 and len(found) != 1:
        raise ValueError("it has several arrays, and none is called video")
    with archive.open((found or names)[0]) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Refused(
            413,
            f"the array has more than the {most:,} bytes that this server "
            "takes; send less",
        )
    return data


def _no_archive(name, error):
    return Refused(
        400,
        f"{name} cannot be read as .npz ({error}); write it with "
        "numpy.savez(file, video=video)",
    )
