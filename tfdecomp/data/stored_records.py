"""Reads every record of a prepared set, to find those that are damaged."""

import contextlib

from tfdecomp.data import errors


def check(builder) -> dict:
    """Reads all record files of a set, and counts.

    Args:
        builder: The TFDS builder of a prepared set.

    Returns:
        Split -> number of its records.

    Raises:
        MissingFileError: If a file is not there.
        LayoutError: If a record is damaged, or a file has fewer or more than
            were written.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.stored_records import check
        >>> name = "tetrominoes/quick14_tiny"
        >>> builder = builders.prepare(name, data_dir="data", progress=False)
        >>> check(builder)["train"]
        64
    """
    counts = {}
    for split, info in builder.info.splits.items():
        for path, expected in zip(info.filepaths, info.shard_lengths):
            _check_file(builder, str(path), expected)
        counts[split] = info.num_examples
    return counts


def _check_file(builder, path, expected):
    import tensorflow_datasets as tfds

    dataset = tfds.core.file_adapters.ADAPTER_FOR_FORMAT[
        builder.info.file_format
    ].make_tf_data(path)
    found = 0
    with explained(builder.info.full_name, path):
        for _ in dataset:
            found += 1
    if found != expected:
        raise errors.LayoutError(
            f"{path} has {found} records, {expected} were written",
            dataset=builder.info.full_name,
            path=path,
            expected=expected,
            found=found,
            hint=_HINT,
        )


_HINT = "build the set anew with 'python -m tfdecomp.prepare NAME --overwrite'"


@contextlib.contextmanager
def explained(name, path=None):
    """Gives TensorFlow's errors about record files words of ours.

    Args:
        name: The dataset.
        path: The file that is read, where that is known.

    Raises:
        MissingFileError: If the file is not there.
        LayoutError: If it is damaged.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.stored_records import explained
        >>> with explained("a", path="train.tfrecord"):
        ...     raise tf.errors.NotFoundError(None, None, "No such file")
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.MissingFileError: a: train.tfrecord is not ...
    """
    import tensorflow as tf

    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        is_damaged = isinstance(error, tf.errors.DataLossError)
        if not is_damaged and "No such file" not in str(error):
            raise  # it is something else that was not found
        kind = errors.LayoutError if is_damaged else errors.MissingFileError
        where = path or "one of its files"
        what = "is damaged" if is_damaged else "is not there"
        raise kind(
            f"{where} {what} ({_first_line(error)})",
            dataset=name,
            path=path,
            expected="the records as they were written",
            found=_first_line(error),
            hint=_HINT
            if path
            else f"'python -m tfdecomp.prepare NAME --check' finds it; {_HINT}",
        ) from error


def _first_line(error):
    return str(error.message).splitlines()[0][:200]
