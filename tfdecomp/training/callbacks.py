"""What happens beside the steps: lines, scalars, pictures, guards."""

import resource
import sys
import time

import numpy as np
import tensorflow as tf
import tqdm

# Values of TensorBoard's `DataClass`.
_SCALAR, _TENSOR, _BLOBS = 1, 2, 3


class TrainingError(RuntimeError):
    """A run that cannot go on; the message says what to try."""


class Progress:
    """A bar on a terminal, a line per `log` in a pipe.

    Args:
        total: Steps of the run.
        step: Steps already taken.
        is_writer: Whether this process talks.
    """

    def __init__(self, total, step, is_writer=True):
        self.total = total
        self.step = step
        self.is_writer = is_writer
        self.rate = None  # steps per second, a running average
        self._time = time.perf_counter()
        self._is_timed = False
        self._bar = None
        if is_writer and sys.stderr.isatty():
            self._bar = tqdm.tqdm(
                total=total, initial=step, unit="step", dynamic_ncols=True
            )

    def advance(self, count):
        """Counts steps."""
        now = time.perf_counter()
        rate = count / max(now - self._time, 1e-9)
        # The first call includes tracing and says nothing of the speed.
        if self._is_timed:
            before = rate if self.rate is None else self.rate
            self.rate = before + 0.2 * (rate - before)
        self._is_timed = True
        self._time = now
        self.step += count
        if self._bar is not None:
            self._bar.update(count)

    def restart_clock(self, is_timed=True):
        """Leaves what was done since `advance` out of the speed.

        Args:
            is_timed: False where the next call traces a new graph.
        """
        self._time = time.perf_counter()
        self._is_timed = is_timed

    def log(self, scalars, evaluation=None):
        """Shows the scalars of a window."""
        shown = {"loss": f"{scalars.get('loss', float('nan')):.5g}"}
        if evaluation and "f_ari" in evaluation:
            shown["f_ari"] = f"{evaluation['f_ari']:.3f}"
        shown["memory"] = f"{peak_memory() / 2**30:.2f}GiB"
        if self._bar is not None:
            self._bar.set_postfix(shown)
            return
        rate = self.rate
        speed = "?" if rate is None else f"{rate:.3g}"
        left = (
            "?" if rate is None else duration((self.total - self.step) / rate)
        )
        for name in ("nll", "kl", "gradient_norm", "slots_used"):
            if name in scalars:
                shown[name] = f"{scalars[name]:.4g}"
        text = " ".join(f"{name} {value}" for name, value in shown.items())
        self.say(
            f"step {self.step}/{self.total} {text} steps/s {speed} left {left}"
        )

    def say(self, text):
        """Prints a line without tearing the bar."""
        if not self.is_writer:
            return
        if self._bar is not None:
            self._bar.write(text)
        else:
            print(text, flush=True)

    def close(self):
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()


class TensorBoard:
    """Scalars, pictures and text for TensorBoard.

    Args:
        folder: Folder of the event files.
        is_writer: Whether this process writes.
    """

    def __init__(self, folder, is_writer=True):
        self._writer = (
            tf.summary.create_file_writer(str(folder))
            if is_writer
            else tf.summary.create_noop_writer()
        )

    def scalars(self, step, values):
        """Writes numbers."""
        for name, value in values.items():
            if isinstance(value, (int, float)):
                value = tf.constant(value, tf.float32)
                self._write(step, name, value, "scalars", _SCALAR)
        self._writer.flush()

    def picture(self, step, name, image):
        """Writes a uint8 picture `[H, W, 3]`."""
        height, width = image.shape[:2]
        png = tf.io.encode_png(image)
        value = tf.stack([str(width), str(height), png])
        self._write(step, name, value, "images", _BLOBS)

    def text(self, step, name, text):
        """Writes a text, indented so that it is shown as it stands."""
        text = "\n".join(f"    {line}" for line in text.splitlines())
        self._write(step, name, tf.constant(text), "text", _TENSOR)

    def _write(self, step, name, value, plugin, data_class):
        # What `tf.summary.scalar` and its like do, without the TensorBoard
        # package, which only those who look at the files need.
        metadata = tf.compat.v1.SummaryMetadata(data_class=data_class)
        metadata.plugin_data.plugin_name = plugin
        with self._writer.as_default(step):
            tf.summary.write(name, value, metadata=metadata)


class NonFiniteGuard:
    """Stops a run whose steps are not finite any more.

    Args:
        limit: Skipped steps in a row that stop it.
    """

    def __init__(self, limit):
        self.limit = limit

    def check(self, window, carry, say, last_checkpoint):
        """Reports skipped steps of a window.

        Raises:
            TrainingError: If there were too many.
        """
        skipped = int(np.sum(np.asarray(window["is_taken"]) < 0.5))
        if not skipped:
            return
        total, streak = int(carry["skipped"]), int(carry["streak"])
        say(
            f"skipped {skipped} of the last {len(window['is_taken'])} steps: "
            f"loss or gradient was not finite ({total} in the whole run)"
        )
        mostly = skipped > max(self.limit, len(window["is_taken"]) // 2)
        if streak >= self.limit or mostly:
            raise TrainingError(
                f"{skipped} of the last {len(window['is_taken'])} steps were "
                f"not finite, {streak} in a row; try a lower learning rate, "
                "a warm-up, or PRECISION = 'float32'. The last good "
                f"checkpoint is {last_checkpoint}"
            )


class CollapseGuard:
    """Reports a run that decomposes nothing.

    Args:
        after: Steps in a collapsed state before it is reported; 0 for never.
        action: "warn" or "stop".
        num_slots: `K`.
        kl_floor: KL in nats per clip below which the latents say nothing.
        share: Share of the pixels at which one slot owns the picture.
    """

    def __init__(self, after, action, num_slots, kl_floor=0.1, share=0.995):
        self.after = after
        self.action = action
        self.num_slots = num_slots
        self.kl_floor = kl_floor
        self.share = share
        self._since = {}
        self._told = set()

    def check(self, step, scalars, say):
        """Looks at the means of a window that ends at `step`.

        Raises:
            TrainingError: If something collapsed and `action` is "stop".
        """
        if not self.after:
            return
        for name, message in self._signs(scalars).items():
            if message is None:
                self._since.pop(name, None)
                self._told.discard(name)
                continue
            since = self._since.setdefault(name, step)
            if step - since < self.after or name in self._told:
                continue
            self._told.add(name)
            message = f"for {step - since} steps {message}"
            if self.action == "stop":
                raise TrainingError(message)
            say(f"warning: {message}")

    def _signs(self, scalars):
        """Sign -> message, or `None` where it does not show."""
        signs = {}
        kl, largest = scalars.get("kl"), scalars.get("largest_slot")
        used, slots = scalars.get("slots_used"), self.num_slots
        if kl is not None:
            signs["kl"] = (
                f"the KL term is {kl:.2g} nats a clip: the slots carry no "
                "information; try a lower KL weight, a ramp for it, or a "
                "smaller initial posterior scale"
                if kl < self.kl_floor
                else None
            )
        if largest is not None:
            one_owns_all = largest > self.share
            signs["largest"] = (
                f"one slot owns {largest:.1%} of the pixels; try linear "
                "means, a lower KL weight, or a smaller pixel variance"
                if one_owns_all
                else None
            )
            few = used < slots / 2 and not one_owns_all
            signs["unused"] = (
                f"only {used:.1f} of {slots} slots own pixels; take fewer "
                "slots, or a smaller pixel variance"
                if few
                else None
            )
        return signs


def peak_memory() -> int:
    """Most memory used so far in bytes: the GPU's, or the process's."""
    for device in tf.config.list_logical_devices("GPU"):
        return tf.config.experimental.get_memory_info(device.name[-5:])["peak"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def duration(seconds) -> str:
    """`90 -> "1m30s"`."""
    seconds = int(round(seconds))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"
