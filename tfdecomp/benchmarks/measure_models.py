"""How fast trained models take a video apart, from file to files.

A row for each model and precision, each measured in a process of its own:
frames a second from a video file to everything that is written, and of the
model alone; seconds from nothing to the first frame, loading and compiling
among them; and the most memory that the process held.
"""

import csv
import importlib
import importlib.util
import os
import pathlib
import platform
import re
import tempfile
import time

import numpy as np
import tensorflow as tf

from tfdecomp.benchmarks import fresh_process, measure
from tfdecomp.data.video import video_io, video_writer
from tfdecomp.prediction import options as options_lib
from tfdecomp.prediction import runner
from tfdecomp.prediction.files import folder as folder_lib
from tfdecomp.prediction.footage import Footage
from tfdecomp.prediction.stream import Stream
from tfdecomp.sharing import hub
from tfdecomp.storage import precision as precision_lib
from tfdecomp.visualization import palette

COLUMNS = (
    "model",
    "precision",
    "device",
    "frame_size",
    "slots",
    "frames",
    "fps_to_file",
    "fps_model",
    "first_frame_s",
    "memory_mib",
    "note",
    "source",
)
SOURCE = "python -m tfdecomp.benchmark --all_models"
MOG2 = "OpenCV MOG2"
BUSY = "other work ran on the machine"
_KEY = ("model", "precision", "device", "frame_size", "source")
_RATE, _DISCS, _GREY = 30, 4, 60
_CPUINFO = pathlib.Path("/proc/cpuinfo")
_STAT = pathlib.Path("/proc/stat")
_OTHERS = 0.25  # cores that others may use
_LEAST_BLOB = 30  # pixels of what MOG2 finds
_WORDS = {1: "one core", 2: "two cores", 4: "four cores", 8: "eight cores"}


def film(path, num_frames, size):
    """Writes an H.264 video of discs that cross a noisy, still ground.

    Args:
        path: The `.mp4` file.
        num_frames: `T`.
        size: `(H, W)` in pixels.
    """
    rng = np.random.default_rng(0)
    ground = rng.integers(0, _GREY, (*size, 3), dtype=np.uint8)
    colors = rng.integers(120, 256, (_DISCS, 3), dtype=np.uint8)
    start = rng.uniform(0.2, 0.8, (_DISCS, 2)) * size
    speed = rng.uniform(-0.02, 0.02, (_DISCS, 2)) * size
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    with video_writer.VideoWriter(path, _RATE) as writer:
        for t in range(num_frames):
            frame = ground.copy()
            for place, color in zip((start + t * speed) % size, colors):
                away = np.hypot(rows - place[0], columns - place[1])
                frame[away < 0.08 * min(size)] = color
            writer.add(frame)


def compare(names=None, precisions=None, num_frames=120, size=(240, 320)):
    """Yields a row for each model and precision.

    Args:
        names: Models, as `hub.load` takes them; by default all that ship, and
            OpenCV's background subtraction where that is installed.
        precisions: Some of `precision.POLICIES`; by default float32, and
            bfloat16 where the device has it.
        num_frames: Frames of the video.
        size: `(H, W)` of its frames.
    """
    if names is None:
        has_opencv = importlib.util.find_spec("cv2") is not None
        names = [*hub.list_models(), *[MOG2] * has_opencv]
    if precisions is None:
        is_native = precision_lib.is_native()
        precisions = list(precision_lib.POLICIES)[: 1 + is_native]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "film.mp4"
        film(path, num_frames, size)
        for name in names:
            mine = precisions if _computes(name) else precisions[:1]
            for precision in mine:
                note = BUSY if _is_busy() else ""
                row = fresh_process.run(
                    opencv if name == MOG2 else one, name, precision, path
                )
                yield {
                    "model": name,
                    "precision": precision,
                    "device": device(),
                    "frame_size": f"{size[1]}x{size[0]}",
                    "note": note,
                    "source": SOURCE,
                    **row,
                }


def _computes(name):
    """Whether a model has weights, and so a precision."""
    parameters = hub.list_models().get(name, {}).get("parameters", 1)
    return name != MOG2 and parameters != 0


def one(name, precision, path) -> dict:
    """Measures a model in this process, which must be a new one.

    Args:
        name: The model, as `hub.load` takes it.
        precision: `"float32"` or `"bfloat16"`.
        path: The video.

    Returns:
        The columns of a row that were measured.
    """
    begin, first = time.perf_counter(), []
    loaded = hub.load(name, precision)
    footage = Footage(path)

    def note_time(done, total):
        if not first:
            first.append(time.perf_counter() - begin)

    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "out"
        loaded.predict(path, output, progress=note_time)
        begin = time.perf_counter()
        loaded.predict(path, output, overwrite=True)
        seconds = time.perf_counter() - begin
    peak = fresh_process.peak_bytes()
    alone, slots = _alone(loaded, footage)
    return {
        "slots": slots,
        "frames": footage.num_frames,
        "fps_to_file": _rounded(footage.num_frames / seconds),
        "fps_model": _rounded(alone),
        "first_frame_s": _rounded(first[0]),
        "memory_mib": round(peak / 2**20),
    }


def _alone(loaded, footage):
    """`(frames a second, slots)` of the model without files."""
    frames = [frame.pixels for frame in footage.frames()]
    options = options_lib.Options()
    if loaded.sees == "frames":
        stream = Stream(loaded.model)
        job = runner.Job(stream, footage, options)
        pictures = [job.fit.picture(pixels) for pixels in frames]
        length = job.length
    else:
        job = loaded.job(footage, options)
        stream = job.stream
        pictures = [job.view.see(pixels)[0] for pixels in frames]
        length = options.chunk
    pictures = np.stack(pictures)

    def run():
        stream.restart()
        for start in range(0, len(pictures), length):
            stream(pictures[start : start + length])

    run()  # compiles
    seconds = measure.best(run, 2)
    slots = stream.num_slots or stream.model.num_slots
    return len(pictures) / seconds, slots


def opencv(name, precision, path) -> dict:
    """The same of OpenCV's background subtraction, which finds blobs.

    It writes a mask for every frame, and no more.

    Args:
        name: Not used, as `one` has it.
        precision: Not used.
        path: The video.
    """
    begin, first = time.perf_counter(), None
    # Only for comparison, so no extra asks for it.
    cv2 = importlib.import_module("cv2")
    footage, seconds = Footage(path), 0.0
    subtract = cv2.createBackgroundSubtractorMOG2(detectShadows=False)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for frame in footage.frames():
            alone = time.perf_counter()
            moving = subtract.apply(frame.pixels)
            _, ids, facts, _ = cv2.connectedComponentsWithStats(moving)
            large = facts[:, cv2.CC_STAT_AREA] >= _LEAST_BLOB
            table = np.where(large, np.cumsum(large), 0) % 255
            table[0] = 0
            seconds += time.perf_counter() - alone
            video_io.write_png(
                pathlib.Path(folder) / f"{frame.number:06d}.png",
                table.astype(np.uint8)[ids],
                palette.id_colors(),
            )
            first = first or time.perf_counter() - begin
        whole = time.perf_counter() - start
    return {
        "slots": "",
        "frames": footage.num_frames,
        "fps_to_file": _rounded(footage.num_frames / whole),
        "fps_model": _rounded(footage.num_frames / seconds),
        "first_frame_s": _rounded(first),
        "memory_mib": round(fresh_process.peak_bytes() / 2**20),
    }


def device(cpuinfo=_CPUINFO) -> str:
    """What this process computes on, in words.

    Args:
        cpuinfo: Where Linux describes the processor.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        facts = tf.config.experimental.get_device_details(gpus[0])
        name = facts.get("device_name", "GPU")
        return name if len(gpus) == 1 else f"{len(gpus)} of {name}"
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.is_file() else ""
    name = re.search(r"model name\s*: (.*)", text)
    name = name[1].strip() if name else platform.machine()
    count = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count())
    )
    vectors = " with AVX-512" if "avx512f" in text else ""
    return f"{_WORDS.get(count, f'{count} cores')} of {name}{vectors}"


def record(path, rows):
    """Puts rows into a table of speeds, in the place of earlier ones.

    Args:
        path: File of csv with the columns `COLUMNS`; made if it is not there.
        rows: From `compare`.

    Raises:
        ValueError: If the file has other columns.
    """
    path = pathlib.Path(os.path.expanduser(path))
    rows = list(rows)
    new = {tuple(row[name] for name in _KEY) for row in rows}
    kept = [
        row
        for row in _read(path)
        if tuple(row[name] for name in _KEY) not in new
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with folder_lib.replacing(path) as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *rows])


def _read(path):
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(
                f"{path} is no table of speeds: expected the columns "
                f"{', '.join(COLUMNS)}; give another file"
            )
        return list(reader)


def _is_busy(seconds=0.5, stat=_STAT):
    """Whether others compute while we do not.

    Load averages would count what we measured before.

    Args:
        seconds: How long to look.
        stat: Where Linux counts what its processors did.
    """
    if not stat.is_file():
        return False
    idle, total = _ticks(stat)
    time.sleep(seconds)
    later, end = _ticks(stat)
    busy = 1 - (later - idle) / max(1, end - total)
    return busy * (os.cpu_count() or 1) > _OTHERS


def _ticks(stat):
    """What all processors together idled, and all they did."""
    first = stat.read_text(encoding="utf-8").partition("\n")[0].split()
    values = [int(value) for value in first[1:9]]
    return values[3] + values[4], sum(values)


def _rounded(value):
    return float(f"{value:.3g}")
