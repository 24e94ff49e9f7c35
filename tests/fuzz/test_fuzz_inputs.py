"""Damaged videos and pictures end in a sentence, or in all of their frames.

Files are made from a seed, and so is their damage: flipped bits, noise,
zeros, pieces that are cut out, doubled or moved, and ends that are missing.
"""

import collections

import numpy as np
import PIL.Image
import pytest
import tifffile

from tests.data import video_files as files
from tests.fuzz import limits
from tfdecomp.data import errors
from tfdecomp.prediction.footage import Footage

LONGEST = 20  # seconds of the processor for one file
QUICK, WHOLE = 120, 10_000  # files
TS_PACKET = 188  # bytes; such streams have no end of their own
T, H, W = 16, 32, 48
VIDEOS = {
    "mp4": {"options": {"movflags": "faststart"}},
    "mov": {},
    "mkv": {},
    "webm": {"codec": "libvpx-vp9"},
    "avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj444p"},
    "ts": {},
    "flv": {},
    "wmv": {"codec": "wmv2"},
}
PICTURES = ("gif", "apng", "png", "webp", "jpg", "tif", "deep.tif", "bmp")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """`{name: (bytes, frames)}` of undamaged files."""
    folder = tmp_path_factory.mktemp("originals")
    rng = np.random.default_rng(0)
    video = files.frames(T, H, W)
    # Else a codec would have little to store, and little to damage.
    video[:, 16:] = rng.integers(0, 256, (T, H - 16, W, 3))
    made = {}
    for name, options in VIDEOS.items():
        path = folder / f"a.{name}"
        files.write(path, video=video, **options)
        made[name] = path
    pictures = [PIL.Image.fromarray(frame) for frame in video]
    for name in PICTURES:
        path = folder / f"b.{name}"
        many = {"save_all": True, "append_images": pictures[1:]}
        if name in ("jpg", "bmp"):
            pictures[0].save(path, quality=95)
        elif name == "deep.tif":
            tifffile.imwrite(path, video[..., 0] * np.uint16(16))
        elif name == "tif":
            pictures[0].save(path, **many, compression="tiff_lzw")
        else:
            kind = "PNG" if name == "apng" else None
            pictures[0].save(path, kind, **many, duration=100)
        made[name] = path
    return {
        name: (path.read_bytes(), [f.pixels for f in Footage(path).frames()])
        for name, path in made.items()
    }


def damaged(data, rng):
    """The bytes with damage of one kind, and its name."""
    data = bytearray(data)
    size = len(data)
    count = int(rng.integers(1, max(2, min(400, size // 4))))
    place, other = (int(n) for n in rng.integers(0, size - count, 2))
    kind = rng.choice(
        ["bits", "noise", "zeros", "cut out", "doubled", "moved", "end"]
    )
    if kind == "bits":
        for _ in range(int(rng.integers(1, 9))):
            data[int(rng.integers(size))] ^= 1 << int(rng.integers(8))
    elif kind == "noise":
        data[place : place + count] = rng.bytes(count)
    elif kind == "zeros":
        data[place : place + count] = bytes(count)
    elif kind == "cut out":
        del data[place : place + count]
    elif kind == "doubled":
        data[place:place] = data[place : place + count]
    elif kind == "moved":
        data[place : place + count] = data[other : other + count]
    else:
        del data[int(rng.integers(1, size)) :]
    return bytes(data), str(kind)


def read(path):
    """Frames of a file and what is said; None if it is refused."""
    try:
        footage = Footage(path)
        notes = [n for n in footage.notes if "missing" in n or "ignored" in n]
        return [frame.pixels for frame in footage.frames()], notes
    except errors.DatasetInputError as error:
        assert path.name in str(error)
        assert "\n" not in str(error)
        return None


def trial(originals, count, folder):
    """What became of so many damaged files, by name."""
    found = collections.defaultdict(collections.Counter)
    longest = 0.0
    names = sorted(originals)
    for number in range(count):
        rng = np.random.default_rng([7, number])
        name = names[number % len(names)]
        whole, wanted = originals[name]
        data, kind = damaged(whole, rng)
        path = folder / f"{number}.{name}"
        path.write_bytes(data)
        with limits.clock(LONGEST) as seconds:
            result = read(path)
        longest = max(longest, seconds())
        path.unlink()
        tally = found[name]
        if result is None:
            tally["refused"] += 1
            continue
        shown, notes = result
        if notes:
            tally["said"] += 1
        elif len(data) % TS_PACKET == 0 and (name, kind) == ("ts", "end"):
            tally["same"] += 1  # as if it had been stopped there
        elif len(shown) != len(wanted):
            tally["lost"] += 1
            print(f"{number} {name} {kind}: {len(shown)} of {len(wanted)}")
        elif any(
            a.shape != b.shape or not np.array_equal(a, b)
            for a, b in zip(shown, wanted)
        ):
            tally["changed"] += 1
        else:
            tally["same"] += 1
    return found, longest


@pytest.mark.parametrize(
    "count",
    [QUICK, pytest.param(WHOLE, marks=pytest.mark.slow)],
    ids=["quick", "whole"],
)
def test_damage_is_said_or_does_not_show(count, originals, tmp_path):
    found, longest = trial(originals, count, tmp_path)
    for name, tally in sorted(found.items()):
        print(name, dict(tally))
    assert sum(sum(tally.values()) for tally in found.values()) == count
    assert longest < LONGEST
    lost = {name: tally["lost"] for name, tally in found.items()}
    assert not any(lost.values()), lost
