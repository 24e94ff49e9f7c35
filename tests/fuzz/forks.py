"""Starts commands without loading TensorFlow for each of them.

A server loads it once and forks; what is killed then is a process of its own
that does what `python -m tfdecomp.train` does. Half of the time that a short
run takes would else go into imports.
"""

import json
import os
import select
import signal
import subprocess
import sys
import traceback


class Server:
    """Runs one command at a time.

    Args:
        log: File that gets what the commands print.
    """

    def __init__(self, log):
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.forks", str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )

    def start(self, module, *arguments):
        """Starts `python -m tfdecomp.MODULE ARGUMENTS`; returns its number."""
        command = [module, *map(str, arguments)]
        self._process.stdin.write(json.dumps(command) + "\n")
        return int(self._line())

    def is_running(self):
        return not select.select([self._process.stdout], [], [], 0)[0]

    def wait(self):
        """The exit status of the command, minus the signal that ended it."""
        return int(self._line())

    def finish(self, module, *arguments):
        """Runs a command to its end, which must be a good one."""
        self.start(module, *arguments)
        assert self.wait() == 0, self._log.read_text()[-3000:]

    def close(self):
        self._process.stdin.close()
        self._process.wait()

    def _line(self):
        # Libraries talk while they are loaded.
        while line := self._process.stdout.readline():
            if line.startswith("> "):
                return line[2:]
        raise RuntimeError("the server ended")


def _serve(log):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from absl import app
    from tensorflow_datasets.scripts.cli import build  # noqa: F401

    from tfdecomp import builders, models, prepare, train, training  # noqa: F401

    for line in sys.stdin:
        module, *arguments = json.loads(line)
        pid = os.fork()
        if pid:
            print(f"> {pid}", flush=True)
            _, status = os.waitpid(pid, 0)
            print(f"> {os.waitstatus_to_exitcode(status)}", flush=True)
            continue
        with open(log, "a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = 1
        try:
            if module == "prepare":
                code = prepare.main([module, *arguments])
            else:
                app.run(train.main, argv=[module, *arguments])
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
