"""What goes with the building of a dataset: estimate, progress, full disks."""

import contextlib
import dataclasses
import errno
import math
import os
import shutil
import sys
import time

from tfdecomp.data import errors
from tfdecomp.data.building import builder_base

_PROBE = 16  # examples made to estimate time and size
_WRITING = 1.3  # whole time over the time to make and encode the examples


def label(builder):
    """Name and config of a builder.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.building.estimates import label
        >>> label(builders.make("tetrominoes/quick14"))
        'tfdecomp_tetrominoes/quick14'
    """
    return f"{builder.name}/{builder.builder_config.name}"


@dataclasses.dataclass
class Estimate:
    """What building a set will cost.

    Examples:
        >>> from tfdecomp.data.building.estimates import Estimate
        >>> Estimate(examples=1000, seconds=90.0, size=2e6).examples
        1000
    """

    examples: int = 0
    seconds: float = 0.0
    size: float = 0.0


def estimate(builder, download_config=None):
    """Makes a few examples and extrapolates; generated sets only.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.building.estimates import estimate
        >>> cost = estimate(builders.make("tetrominoes/quick14_tiny"))
        >>> cost.examples  # 64 to train with, 16 and 16 others
        96
    """
    config = builder.builder_config
    if config.source != builder_base.GENERATED:
        return Estimate()
    sizes = config.split_sizes()
    limit = getattr(download_config, "max_examples_per_split", None)
    total = sum(min(n, n if limit is None else limit) for n in sizes.values())
    split, available = next(iter(sizes.items()))
    count = min(_PROBE, available)
    make_block = builder.make_block(config)
    for trial in (1, count):  # the first one pays for imports
        begin = time.perf_counter()
        block = builder_base.make_complete(make_block, config, split, 0, trial)
        encoded = [builder.info.features.encode_example(e) for _, e in block]
    seconds = (time.perf_counter() - begin) / count * _WRITING
    size = sum(_encoded_size(example) for example in encoded) / count
    return Estimate(total, seconds * total, size * total)


def _encoded_size(value):
    """About how many bytes a value takes in a record, its name included."""
    if isinstance(value, dict):
        return sum(_encoded_size(v) + len(k) + 12 for k, v in value.items())
    return len(value) if isinstance(value, bytes) else 8


def check_disk(builder, root, estimate):
    """Refuses to start what cannot end for want of disk.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.building.estimates import Estimate, check_disk
        >>> builder = builders.make("tetrominoes/quick14")
        >>> check_disk(builder, ".", Estimate(size=1e18))
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.DatasetInputError: ... takes about 2000000000.0 ...
    """
    # TFDS sorts the examples through temporary files of the same size.
    needed, free = 2 * estimate.size, shutil.disk_usage(root).free
    if needed > free:
        raise errors.DatasetInputError(
            f"building it takes about {_bytes(needed)} in {root} (half of it "
            f"for good), where {_bytes(free)} are free",
            dataset=label(builder),
            path=str(root),
            expected=needed,
            found=free,
            hint="free some space or choose another --data_dir",
        )


def announce(builder, root, estimate):
    """Prints what is going to be built, for how long and how large.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.building.estimates import Estimate, announce
        >>> builder = builders.make("tetrominoes/quick14")
        >>> announce(builder, ".", Estimate())  # of no example: says nothing
    """
    if not estimate.examples:
        return
    print(
        f"{label(builder)}: building {estimate.examples:,} examples, "
        f"about {duration(estimate.seconds)} and {_bytes(estimate.size)}, "
        f"in {root}",
        file=sys.stderr,
    )


def _bytes(size):
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def duration(seconds):
    """Such as `40 s` or `7 min`.

    Examples:
        >>> from tfdecomp.data.building.estimates import duration
        >>> duration(40), duration(400)
        ('40 s', '7 min')
    """
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} s"
    return f"{math.ceil(seconds / 60)} min"


@contextlib.contextmanager
def explained(builder, estimate):
    """Gives a full disk an error that says so.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.building.estimates import Estimate, explained
        >>> with explained(builders.make("tetrominoes/quick14"), Estimate()):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.DatasetInputError: ... the disk became full ...
    """
    try:
        yield
    except errors.DatasetInputError:
        raise
    except Exception as error:
        if not _is_full_disk(error):
            raise
        raise errors.DatasetInputError(
            f"the disk became full while writing to {builder.data_dir_root}; "
            "nothing was left behind there",
            dataset=label(builder),
            path=str(builder.data_dir_root),
            expected=f"about {_bytes(2 * estimate.size)} free",
            found=str(error),
            hint=f"the set takes about {_bytes(estimate.size)}, and as much "
            "again while it is written; free some space or choose another "
            "--data_dir",
        ) from error


def _is_full_disk(error):
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    while error is not None:
        if isinstance(error, OSError) and error.errno in full:
            return True
        # TensorFlow's own errors carry the system's words only.
        if any(os.strerror(number) in str(error) for number in full):
            return True
        error = error.__cause__ or error.__context__
    return False
