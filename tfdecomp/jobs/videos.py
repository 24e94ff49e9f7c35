"""Predictions of many videos, each in a folder of its own."""

import collections
import contextlib
import csv
import functools
import glob
import json
import os
import pathlib
import shutil
import uuid
from typing import Any

from tfdecomp.data import errors
from tfdecomp.data.video import video_frames
from tfdecomp.fitting import inputs
from tfdecomp.jobs import cluster, pool
from tfdecomp.prediction.files import folder as folder_lib
from tfdecomp.storage import catalogue, model_info

TABLE_NAME = "summary.csv"
COLUMNS = ("video", "output", "state", "frames", "trust", "seconds", "error")
_FREE = (
    "chunk",
    "fit",
    "range",
)  # of no influence, or not told as they are asked
STOPPED, _FAILED, _SKIPPED = "stopped", "failed", "done before"


def is_many(source: str) -> bool:
    """Whether an input names several videos: a pattern, or their folder.

    Args:
        source: What `--input` says. A path that exists is no pattern, and a
            folder with single pictures is one video. A pattern that matches
            nothing names none of several; `find` says so.
    """
    path = pathlib.Path(os.path.expanduser(source))
    if path.is_dir():
        return bool(_inside(path))
    if path.exists() or not glob.has_magic(source):
        return False
    return not _named(source) or bool(_matching(source))


def find(source: str) -> list[pathlib.Path]:
    """The videos of a pattern or a folder, in the order of their names.

    Args:
        source: Pattern such as `videos/*.mp4`, or a folder that holds videos.

    Raises:
        MissingFileError: If it names no video.
    """
    path = pathlib.Path(os.path.expanduser(source))
    found = _inside(path) if path.is_dir() else _matching(source)
    if not found:
        raise errors.MissingFileError(
            f"{source} matches no video",
            path=source,
            hint="quote the pattern, and give it a suffix such as '*.mp4'",
        )
    return [path.absolute() for path in found]


def outputs(videos, output) -> dict[pathlib.Path, pathlib.Path]:
    """A folder for each video: its name, with the suffix where two share it.

    Args:
        videos: Paths.
        output: The folder of all.

    Raises:
        ValueError: If two videos have the same name in different folders.
    """
    output = pathlib.Path(os.path.expanduser(output)).absolute()
    stems = collections.Counter(video.stem for video in videos)
    folders = {}
    for video in videos:
        name = video.stem if stems[video.stem] == 1 else video.name
        if output / name in folders:
            raise ValueError(
                f"{folders[output / name]} and {video} have one name, and "
                "their results would lie in one folder; predict them into "
                "different folders"
            )
        folders[output / name] = video
    return {video: folder for folder, video in folders.items()}


def predict(
    model,
    source,
    output,
    num_workers=1,
    overwrite=False,
    options=None,
    on_row=None,
    should_stop=None,
    scheduler=None,
) -> list[dict[str, Any]]:
    """Predicts all videos that have no whole prediction yet.

    Args:
        model: What `tfdecomp.load` takes.
        source: What `find` takes.
        output: Folder; each video has its own in it, and `summary.csv` a row.
        num_workers: Processes, each of which loads the model once.
        overwrite: Whether whole predictions are made anew.
        options: Further options of `tfdecomp.sharing.hub.Loaded.predict`.
        on_row: Called with the number of videos done and of all.
        should_stop: Asked often; true ends the work. Frames that are done
            stay, and the same call goes on with the videos that lack.
        scheduler: Address of a Dask scheduler whose workers do it in place of
            processes of this machine; they share all folders.

    Returns:
        A row for each video with the columns `COLUMNS`, in the order of names.

    Raises:
        MissingFileError: If there is no video.
        ValueError: If two videos have one name, or a whole prediction was
            made with another model or other options.
        OSError: If the scheduler is not there.
    """
    options = options or {}
    places = outputs(find(source), output)
    rows, tasks = {}, []
    for video, folder in places.items():
        record = _record(folder)
        if record and not overwrite:
            _check(folder, record, model, options)
            rows[video] = _row(video, folder, record, _SKIPPED)
        else:
            started = (folder / folder_lib.RECORD_NAME).is_file()
            folder_lib.check(folder, overwrite=overwrite or started)
            tasks.append((model, video, folder, options))
            rows[video] = _row(video, folder, {}, STOPPED)
    if scheduler is None:
        jobs = pool.Pool("tfdecomp.jobs.videos:predict_one", num_workers)
    else:
        jobs, tasks = _shared(scheduler, output, tasks)
    done = len(places) - len(tasks)
    try:
        with contextlib.closing(jobs.run(tasks, should_stop)) as outcomes:
            for outcome in outcomes:
                _, video, folder, _ = outcome.argument
                rows[video] = _outcome_row(video, folder, outcome)
                done += 1
                if on_row:
                    on_row(done, len(places))
    finally:
        if scheduler is not None:
            _clean(folder for _, _, folder, _ in tasks)
        table = [rows[video] for video in places]
        _write(pathlib.Path(os.path.expanduser(output)) / TABLE_NAME, table)
    return table


def predict_one(argument, should_stop) -> dict[str, Any]:
    """Predicts one video, in a process of the pool.

    Args:
        argument: `(model, video, folder, options)`.
        should_stop: Says whether to leave.
    """
    model, video, folder, options = argument
    started = (folder / folder_lib.RECORD_NAME).is_file()
    record = _load(model).predict(
        video, folder, overwrite=started, should_stop=should_stop, **options
    )
    return {name: record.get(name) for name in ("state", "num_frames", "trust")}


def predict_apart(argument, should_stop) -> dict[str, Any]:
    """Predicts one video for a cluster, which may give it to two workers.

    Each writes to a hidden folder of its own, which gets the name of the
    result when it is done, and that of what could be done if there is none.

    Args:
        argument: `(model, video, folder, options)`.
        should_stop: Says whether to leave.
    """
    model, video, folder, options = argument
    apart = folder.with_name(f".{folder.name}.part-{uuid.uuid4().hex[:8]}")
    try:
        return predict_one((model, video, apart, options), should_stop)
    finally:
        if apart.is_dir():
            _publish(apart, folder)


def text(rows) -> str:
    """The rows as a table for people."""
    shown = [name for name in COLUMNS if name != "output"]
    return model_info.aligned(
        [{name: str(row[name]) for name in shown} for row in rows]
    )


def _shared(scheduler, output, tasks):
    """A cluster, and the tasks in words that its workers understand."""
    shipped = catalogue.folder()

    def told(model, video, folder, options):
        path = pathlib.Path(os.path.expanduser(model)).absolute()
        # Each worker has what ships, maybe elsewhere.
        model = path.name if path.parent == shipped else str(path)
        region = options.get("region")
        if isinstance(region, str) and os.path.exists(region):
            options = options | {"region": cluster.portable(region)}
        return model, video, folder, options

    def needed(task):
        model, video, _, _ = task
        return [video, model] if os.path.isabs(model) else [video]

    jobs = cluster.Cluster(
        "tfdecomp.jobs.videos:predict_apart",
        scheduler,
        cluster.portable(output),
        needed,
    )
    return jobs, [told(*task) for task in tasks]


def _publish(apart, folder):
    """Gives a folder its name; a part of a result replaces nothing."""
    old = folder.with_name(f".{folder.name}.part-{uuid.uuid4().hex[:8]}")
    if _record(apart):
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, old)
    try:
        os.rename(apart, folder)
    except OSError:  # another one was faster
        shutil.rmtree(apart, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _clean(folders):
    """Takes away what killed workers of a cluster have left."""
    for folder in folders:
        left = f".{glob.escape(folder.name)}.part-*"
        for path in folder.parent.glob(left):
            shutil.rmtree(path, ignore_errors=True)


@functools.lru_cache(maxsize=1)
def _load(model):
    from tfdecomp.sharing import hub

    return hub.load(model)


def _inside(folder):
    """Videos of a folder; none if it holds single pictures, too."""
    found = []
    for path in sorted(folder.iterdir()):
        if _is_video(path):
            found.append(path)
        elif video_frames.is_picture(path):
            return []
    return found


def _matching(pattern):
    """Videos, and folders of frames, that a pattern stands for."""
    if not glob.has_magic(pattern):
        return []
    paths = sorted(map(pathlib.Path, _named(pattern)))
    return [path for path in paths if path.is_dir() or _is_video(path)]


def _named(pattern):
    return glob.glob(os.path.expanduser(pattern), recursive=True)


def _is_video(path):
    return not path.name.startswith(".") and inputs.is_video(path)


def _record(folder):
    """What a whole prediction in a folder says; None without one."""
    record = folder_lib.read_record(folder)
    is_whole = record.get("state") == folder_lib.FINISHED
    return record if is_whole and "options" in record else None


def _check(folder, record, model, options):
    """Raises if a whole prediction is not of what is asked for."""
    given = {k: v for k, v in options.items() if v is not None}
    asked = json.loads(json.dumps(given, default=str))
    told = record["options"]
    differ = [
        f"{name} {told[name]}, now {value}"
        for name, value in asked.items()
        if name in told and told[name] != value and name not in _FREE
    ]
    name = (record.get("model") or {}).get("name")
    if name and pathlib.Path(os.path.expanduser(str(model))).name != name:
        differ.append(f"the model {name}, now {model}")
    if differ:
        raise ValueError(
            f"{folder} was predicted otherwise ({'; '.join(differ)}); choose "
            "another folder, or give --overwrite to make all of them anew"
        )


def _row(video, folder, record, state, seconds="", error=""):
    return {
        "video": video.name,
        "output": str(folder),
        "state": state,
        "frames": record.get("num_frames", 0),
        "trust": (record.get("trust") or {}).get("level", ""),
        "seconds": seconds,
        "error": error,
    }


def _outcome_row(video, folder, outcome):
    seconds = f"{outcome.seconds:.1f}"
    if outcome.error:
        return _row(video, folder, {}, _FAILED, seconds, outcome.error)
    is_whole = outcome.value["state"] == folder_lib.FINISHED
    state = folder_lib.FINISHED if is_whole else STOPPED
    return _row(video, folder, outcome.value, state, seconds)


def _write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with folder_lib.replacing(path) as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
