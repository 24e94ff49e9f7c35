"""The work directory: what a run writes about itself."""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
import sys

from tfdecomp.storage import configs, saving
from tfdecomp.version import __version__

RUN_NAME = "run.json"
# When a run looks at itself and what it counts then; no weight depends on it
# but by early stopping, which the user then changes knowingly.
_FREE = re.compile(
    r"(evaluation\.|training\.run\.(\w+_every|checkpoint_minutes|protocol|"
    r"keep_checkpoints) )"
)
_FREE_LONGER = re.compile(
    rf"{_FREE.pattern}|NUM_STEPS |training\.run\.num_steps "
)
# Further lines of a value are indented.
_STATEMENT_START = re.compile(r"\n(?=\S)")
_MACRO = re.compile(r"%(\w+)")
_VERSIONS = ("tensorflow", "keras", "tensorflow-probability", "numpy")


class WorkDirError(RuntimeError):
    """A folder that this run cannot use; the message says what to do."""


class WorkDir:
    """Folder of one run; only one process may train in it at a time.

    Args:
        path: The folder; made if missing. `~` is the home folder.
        is_writer: Whether this process writes; one process of a run does.

    Raises:
        WorkDirError: If another process trains there.
    """

    def __init__(self, path, is_writer=True):
        self.path = pathlib.Path(os.path.expanduser(path))
        self.is_writer = is_writer
        self.run = {}
        if self.path.exists() and not self.path.is_dir():
            raise WorkDirError(
                f"--workdir {self.path} is a file; give a folder or a new name"
            )
        if is_writer:
            for name in ("checkpoints", "train", "eval", "pictures"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
            self._lock()
        try:
            self.run = self._read_run()
        except WorkDirError:
            self.close()
            raise

    @property
    def checkpoints(self):
        return self.path / saving.CHECKPOINT_FOLDER

    @property
    def run_path(self):
        return self.path / RUN_NAME

    @property
    def config_path(self):
        return self.path / configs.CONFIG_NAME

    def _read_run(self):
        """The content of `run.json`; nothing where there is none."""
        try:
            run = json.loads(self.run_path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise WorkDirError(
                f"{self.run_path} cannot be read ({error}), and with it how "
                "far the run is. Put a copy of the file back; or delete it, "
                "and the run goes on from its newest checkpoint"
            ) from error
        seed = run.get("seed", 0) if isinstance(run, dict) else None
        if not isinstance(seed, int):
            raise WorkDirError(
                f"{self.run_path} does not describe a run: expected an object "
                "with a whole number as seed. Put a copy of the file back; or "
                "delete it, and the run goes on from its newest checkpoint"
            )
        return run

    def _read_config(self):
        """The config of the run; None in a folder without one.

        Raises:
            WorkDirError: If there was one, or it cannot be read.
        """
        try:
            text = self.config_path.read_text()
        except FileNotFoundError:
            if not saving.checkpoint_steps(self.checkpoints):
                return None
            problem = "is missing"
        except (OSError, ValueError) as error:
            problem = f"cannot be read ({error})"
        else:
            if text.strip():
                return text
            problem = "is empty"
        raise WorkDirError(
            f"{self.config_path} {problem}, so nobody knows what the "
            "checkpoints beside it were trained with. Put a copy of the file "
            "back, or take another --workdir"
        )

    def close(self):
        """Lets another process use the folder."""
        if self.is_writer:
            self._lock_file.close()

    def check_same(self, config, seed, part=0, is_longer=False):
        """Refuses a folder in which another config or seed was trained.

        What decides when a run looks at itself, and what its evaluations
        count, may change from process to process; `begin` writes it down.

        Args:
            config: Text of a config.
            seed: The run's seed.
            part: 0 compares what was asked, 1 the defaults in force.
            is_longer: Whether the number of steps may change, too.

        Raises:
            WorkDirError: With the difference, or if the folder's config
                cannot be read.
        """
        saved = self._read_config()
        if saved is None:
            return
        old, new = (
            _lasting(configs.split_operative(text)[part], is_longer)
            for text in (saved, config)
        )
        changed = configs.difference(old, new, "in the folder", "now")
        old_seed = self.run.get("seed", seed)
        if old_seed != seed:
            changed = f"-seed = {old_seed}\n+seed = {seed}\n{changed}".strip()
        if changed:
            what = ("config", "set of defaults in the code")[part]
            raise WorkDirError(
                f"{self.path} was trained with another {what}; take another "
                f"--workdir or undo the difference{_hint(changed)}:\n{changed}"
            )

    def begin(self, config, *, seed, command, devices):
        """Writes `config.gin` and `run.json` at the start of a process."""
        now = _now()
        self.run = {
            "started": now,
            "seed": seed,
            "attempts": 0,
            **self.run,
            "command": command or " ".join(sys.argv),
            "devices": devices,
            "versions": versions(),
            "commit": commit(),
            "machine": machine(devices),
            "host": platform.node(),
            "pid": os.getpid(),
        }
        self.run["attempts"] += 1
        if not self.is_writer:
            return
        if self._read_config() != config:
            saving.atomic_write(self.config_path, config.encode())
        self.update(state="running")

    def update(self, **fields):
        """Rewrites `run.json` with these fields changed."""
        self.run |= fields
        self.run["updated"] = _now()
        if self.is_writer:
            saving.write_json(self.run_path, self.run)

    def give_up(self, row):
        """Writes down an attempt that led nowhere; the next one is to begin.

        Args:
            row: Step and scores where it ended, and its `seconds`.
        """
        self.update(
            step=0,
            restarts=self.run.get("restarts", 0) + 1,
            given_up=[*self.run.get("given_up", ()), row],
            is_dropping=True,
        )

    def drop_given_up(self):
        """Deletes the checkpoints of an attempt that was given up."""
        if not self.run.get("is_dropping"):
            return
        if self.is_writer:
            for step in saving.checkpoint_steps(self.checkpoints):
                saving.checkpoint_path(self.checkpoints, step).unlink()
        self.update(is_dropping=False)

    def _lock(self):
        """Takes the lock; the system frees it when the process ends."""
        self._lock_file = open(self.path / ".lock", "w")
        try:
            import fcntl
        except ImportError:  # not on this system; two writers go unnoticed
            return
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock_file.close()
            raise WorkDirError(
                f"another process is training in {self.path}; wait for it, "
                "stop it, or take another --workdir"
            ) from None


class History:
    """Scalars by step as lines of JSON; survives a kill in mid-line.

    Args:
        path: The file.
        is_writer: Whether this process writes it.
    """

    def __init__(self, path, is_writer=True):
        self.path = pathlib.Path(path)
        self.is_writer = is_writer

    def read(self) -> list[dict]:
        """All complete rows."""
        rows = []
        if self.path.is_file():
            for line in self.path.read_bytes().splitlines():
                try:
                    row = json.loads(line)
                    row["step"] + 0
                except (ValueError, TypeError, KeyError):
                    break  # the line a kill cut short
                rows.append(row)
        return rows

    def forget_after(self, step):
        """Drops what came after the checkpoint that a run resumes from."""
        rows = [row for row in self.read() if row["step"] <= step]
        if self.is_writer and self.path.is_file():
            text = "".join(json.dumps(row) + "\n" for row in rows)
            saving.atomic_write(self.path, text.encode())

    def add(self, row):
        """Appends a row."""
        if self.is_writer:
            with open(self.path, "a") as file:
                file.write(json.dumps(row) + "\n")


def _hint(changed):
    """How a run gets more steps, where that is what changed."""
    is_length = re.search(
        "^[+-](NUM_STEPS|training.run.num_steps) ", changed, re.M
    )
    return " (--extend gives a run more steps)" if is_length else ""


def _lasting(config, is_longer):
    """The statements of a config that must not change while a run lasts.

    A macro that only free statements read is as free as they are.
    """
    pattern = _FREE_LONGER if is_longer else _FREE
    statements = _STATEMENT_START.split(config)
    kept = [text for text in statements if not pattern.match(text)]
    free = [text for text in statements if pattern.match(text)]
    read = {name for text in kept for name in _MACRO.findall(text)}
    idle = {name for text in free for name in _MACRO.findall(text)} - read
    return "\n".join(t for t in kept if t.partition(" ")[0] not in idle)


def versions() -> dict:
    """Versions that a result may depend on."""
    found = {name: importlib.metadata.version(name) for name in _VERSIONS}
    python = platform.python_version()
    return {"tfdecomp": __version__, "python": python, **found}


def commit() -> str | None:
    """Commit of the checkout that runs, `None` for an installed package."""
    folder = pathlib.Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def machine(devices=()) -> str:
    """What a run's minutes depend on, such as "AMD EPYC, 2 cores".

    Args:
        devices: Names of the devices in use; GPUs among them are named.
    """
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        name = re.search(r"^model name\s*:\s*(.+)$", text, re.M)[1].strip()
    except (OSError, TypeError):
        name = platform.processor() or platform.machine()
    parts = [name, f"{os.cpu_count()} cores"]
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
    parts += [f"{threads} used"] if threads else []
    if any("GPU" in device for device in devices):
        import tensorflow as tf

        parts += [
            tf.config.experimental.get_device_details(gpu)["device_name"]
            for gpu in tf.config.list_physical_devices("GPU")
        ]
    return ", ".join(parts)


def _now():
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
