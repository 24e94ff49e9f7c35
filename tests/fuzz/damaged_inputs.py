"""Damaged videos and pictures, and what becomes of them.

Files are made from a seed, and so is their damage: flipped bits, noise,
zeros, pieces that are cut out, doubled or moved, and ends that are missing.
As a decoder may end the process that it runs in, `campaign` looks at blocks
of files in processes of their own:

    python -m tests.fuzz.damaged_inputs results.jsonl --count=10000

The same command goes on where it was stopped.
"""

import argparse
import collections
import faulthandler
import json
import logging
import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np
import PIL.Image
import tifffile

from tests.data import video_files as files
from tests.fuzz import limits
from tfdecomp.data import errors
from tfdecomp.prediction.footage import Footage

LONGEST = 20  # seconds of the processor for one file
BLOCK = 1000  # files that one process looks at
TS_PACKET = 188  # bytes; such streams have no end of their own
T, H, W = 8, 32, 48
# Frames too small for some encoders, and for more than one thread.
_SIZES = {
    "hevc.mp4": (64, 64),
    "av1.mp4": (64, 64),
    "large.mp4": (136, 144),
    "large.webm": (136, 144),
}
VIDEOS = {
    "mp4": {"options": {"movflags": "faststart"}},
    "mov": {},
    "mkv": {},
    "ts": {},
    "flv": {},
    "webm": {"codec": "libvpx-vp9"},
    "vp8.webm": {"codec": "libvpx"},
    "ivf": {"codec": "libvpx"},
    "large.mp4": {},
    "large.webm": {"codec": "libvpx-vp9"},
    "hevc.mp4": {"codec": "libx265"},
    "av1.mp4": {"codec": "libsvtav1"},
    "avi": {"codec": "mpeg4"},
    "h264.avi": {"codec": "libx264"},
    "mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj444p"},
    "raw.avi": {"codec": "rawvideo", "pixel_format": "bgr24"},
    "ffv1.avi": {"codec": "ffv1"},
    "ffv1.mkv": {"codec": "ffv1"},
    "huffyuv.avi": {"codec": "huffyuv", "pixel_format": "yuv422p"},
    "png.mov": {"codec": "png", "pixel_format": "rgb24"},
    "prores.mov": {"codec": "prores", "pixel_format": "yuv422p10le"},
    "wmv": {"codec": "wmv2"},
    "mpg": {"codec": "mpeg2video", "rate": 25},
    "mxf": {"codec": "mpeg2video", "rate": 25},
    "nut": {"codec": "mpeg4"},
    "y4m": {"codec": "wrapped_avframe"},
}
# Of these all that is stored has a checksum.
CHECKED = (
    *("mkv", "ffv1.avi", "ffv1.mkv", "png.mov"),
    *("apng", "stack.png", "one.png", "deep.png"),
)


def originals(folder):
    """`{name: (bytes, frames)}` of undamaged files.

    Args:
        folder: Where they are; what is there already is not made again.
    """
    video = files.frames(T, H, W)
    # Else a codec would have little to store, and little to damage.
    rng = np.random.default_rng(0)
    video[:, H // 2 :] = rng.integers(0, 256, (T, H - H // 2, W, 3))
    makers = {
        name: _video(
            files.frames(T, *_SIZES[name]) if name in _SIZES else video,
            options,
        )
        for name, options in VIDEOS.items()
    }
    made = {}
    for name, make in (makers | _pictures(video)).items():
        path = folder / f"a.{name}"
        if not path.is_file():
            make(path)
        made[name] = path.read_bytes(), _pixels(Footage(path))
    return made


def _video(video, options):
    return lambda path: files.write(path, video=video, **options)


def _pictures(video):
    first, *others = map(PIL.Image.fromarray, video)
    many = {"save_all": True, "append_images": others, "duration": 100}

    def save(**options):
        return lambda path: first.save(path, **options)

    def tiff(pixels, **options):
        return lambda path: tifffile.imwrite(path, pixels, **options)

    deep = video[..., 0] * np.uint16(16)
    return {
        "gif": save(**many),
        "apng": save(format="PNG", **many),
        "stack.png": save(**many),
        "one.png": save(),
        "deep.png": lambda p: p.write_bytes(
            files.png(video[0] * np.uint16(257))
        ),
        "webp": save(**many),
        "one.webp": save(lossless=True),
        "jpg": save(quality=95),
        "progressive.jpg": save(quality=80, progressive=True),
        "avif": save(),
        "lzw.tif": save(**many, compression="tiff_lzw"),
        "zip.tif": save(**many, compression="tiff_adobe_deflate"),
        "jpeg.tif": save(**many, compression="jpeg"),
        "deep.tif": tiff(deep),
        "zipdeep.tif": tiff(deep, compression="zlib"),
        "bmp": save(),
        "ppm": save(),
        "npy": lambda p: np.save(p, video),
    }


def _pixels(footage):
    return [frame.pixels for frame in footage.frames()]


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


def outcome(path, wanted, kind):
    """What comes of a damaged file.

    Args:
        path: The file.
        wanted: Frames of the undamaged one.
        kind: Of the damage.

    Returns:
        "refused", "said", "same", "changed" pixels or "lost" frames; or what
        is wrong with how it was refused.
    """
    try:
        footage = Footage(path)
        notes = [
            note
            for note in footage.notes
            if any(word in note for word in ("missing", "ignored", "wrong"))
        ]
        shown = _pixels(footage)
    except errors.DatasetInputError as error:
        if path.name not in str(error) or "\n" in str(error):
            return f"no sentence: {error!r}"
        return "refused"
    except Exception as error:
        return f"raw: {error!r}"
    if notes:
        return "said"
    if len(shown) != len(wanted):
        return "same" if _may_end(path, kind) else "lost"
    if all(np.array_equal(a, b) for a, b in zip(shown, wanted)):
        return "same"
    return "changed"


def _may_end(path, kind):
    """Whether it is a stream that might have been stopped there."""
    whole = path.suffix == ".ts" and path.stat().st_size % TS_PACKET == 0
    return kind == "end" and (whole or path.suffix in (".mpg", ".y4m"))


def trial(made, numbers, folder):
    """Yields what becomes of damaged files.

    Args:
        made: See `originals`.
        numbers: Of the files.
        folder: Where each of them is for as long as it is read.

    Yields:
        Dictionaries of the `number`, the `name`, the `kind` of damage, the
        `outcome`, and the `seconds` of the processor.
    """
    names = sorted(made)
    for number in numbers:
        name = names[number % len(names)]
        data, kind = damaged(made[name][0], np.random.default_rng([7, number]))
        path = folder / f"{number}.{name}"
        path.write_bytes(data)
        # What hangs outside of Python does not see the clock.
        faulthandler.dump_traceback_later(
            2 * limits.WAITING * LONGEST, exit=True
        )
        with limits.clock(LONGEST) as seconds:
            came = outcome(path, made[name][1], kind)
        faulthandler.cancel_dump_traceback_later()
        path.unlink()
        yield {
            "number": number,
            "name": name,
            "kind": kind,
            "outcome": came,
            "seconds": round(seconds(), 3),
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            // 1024,
        }


def campaign(results, count):
    """Looks at files 0 to `count`; those in `results` are not repeated.

    Args:
        results: A file that gets a line of JSON for each file.
        count: How many.

    Returns:
        All lines, as dictionaries.
    """
    stored = results.with_suffix(".originals")
    stored.mkdir(exist_ok=True)
    originals(stored)
    results.touch()
    while (before := len(_lines(results))) < count:
        numbers = range(before, min(count, before + BLOCK))
        command = [sys.executable, "-m", "tests.fuzz.damaged_inputs"]
        command += [str(results), f"--block={numbers.start}:{numbers.stop}"]
        process = subprocess.run(command, capture_output=True, text=True)
        if process.returncode:
            # The next file is the one at which the process ended.
            line = {
                "number": len(_lines(results)),
                "outcome": f"crash: {process.returncode}",
                "words": process.stderr[-2000:],
            }
            with open(results, "a") as file:
                file.write(json.dumps(line) + "\n")
    return _lines(results)


def _lines(results):
    return [json.loads(line) for line in results.read_text().splitlines()]


def table(lines):
    """Name to how often what came of it."""
    found = collections.defaultdict(collections.Counter)
    for line in lines:
        word = line["outcome"].split(":")[0]
        found[line.get("name", "?")][word] += 1
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--block")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    if not arguments.block:
        found = table(campaign(arguments.results, arguments.count))
        for name, tally in sorted(found.items()):
            print(name, dict(tally))
        return
    numbers = range(*map(int, arguments.block.split(":")))
    stored = arguments.results.with_suffix(".originals")
    with tempfile.TemporaryDirectory() as folder:
        made = originals(stored)
        with open(arguments.results, "a", buffering=1) as file:
            for line in trial(made, numbers, pathlib.Path(folder)):
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
