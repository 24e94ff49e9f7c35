"""Finds the dataset builders and registers them with TFDS, lazily.

After `import tfdecomp.builders`, `tfds.load("tfdecomp_bouncing_balls/color4")`
works. The builders are those in `datasets/` of a checkout, else the copy that
the installed package carries. Importing this module imports neither them nor
TensorFlow.
"""

import contextlib
import ctypes
import dataclasses
import difflib
import importlib
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
import types

import tensorflow_datasets as tfds
from absl import logging

from tfdecomp.data import errors, naming, stored_records
from tfdecomp.data.building import builder_base, estimates

_PACKAGE = "tfdecomp.builders_data"
# Fields of a config that do not change the content of the dataset.
_FREE_FIELDS = ("block_size", "workers", "use_beam", "description", "tags")
REBUILD_PREFIX = ".rebuild-"
_OLD = "old"  # inside of such a folder
_INFO_NAME = "dataset_info.json"
# Of Linux' renameat2: paths as they stand, and what it is to do.
_HERE, _EXCHANGE = -100, 2


def folder() -> pathlib.Path:
    """The folder of builder folders: the checkout's, else the package's."""
    package = pathlib.Path(__file__).resolve().parent
    checkout = package.parent / "datasets"
    if (package.parent / "setup.cfg").is_file() and checkout.is_dir():
        return checkout
    return package / "builders_data"


def names() -> list[str]:
    """Names of all datasets, without the prefix."""
    return sorted(
        path.parent.name
        for path in folder().glob("*/*_dataset_builder.py")
        if path.name == f"{path.parent.name}_dataset_builder.py"
    )


def builder_cls(name):
    """The builder class of a dataset.

    Args:
        name: With or without the prefix; a config is ignored.

    Raises:
        DatasetInputError: If there is no such dataset.
    """
    short = naming.split_name(name)[0]
    if short not in names():
        near = difflib.get_close_matches(short, names(), 3, 0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else None
        raise errors.DatasetInputError(
            f"there is no dataset {short!r}; there are {', '.join(names())}",
            expected=names(),
            found=short,
            hint=hint,
        )
    if _PACKAGE not in sys.modules:
        package = types.ModuleType(_PACKAGE)
        package.__path__ = [str(folder())]
        sys.modules[_PACKAGE] = package
    module = importlib.import_module(
        f"{_PACKAGE}.{short}.{short}_dataset_builder"
    )
    cls = module.Builder
    cls.pkg_dir_path = tfds.core.Path(folder() / short)
    return cls


class _Provider:
    """Tells TFDS which datasets there are, without importing them."""

    def has_dataset(self, name):
        short = name.removeprefix(naming.PREFIX)
        return name.startswith(naming.PREFIX) and short in names()

    def get_builder_cls(self, name):
        return builder_cls(name)


tfds.core.add_dataset_builder_provider(_Provider(), index=0)


def make(name, data_dir=None, config=None):
    """A builder.

    Args:
        name: Such as `"bouncing_balls/color4"`, with or without the prefix.
        data_dir: Where prepared data are; by default as TFDS has it.
        config: A config object, or a JSON object of its fields; with an entry
            `base` the rest comes from the config of that name.

    Raises:
        DatasetInputError: If there is no such dataset or config.
    """
    cls = builder_cls(name)
    _, named, version = naming.split_name(name)
    if isinstance(config, str) and config.startswith("{"):
        config = _from_json(cls, config)
    elif config is None:
        config = named
    if isinstance(config, str) and config not in cls.builder_configs:
        config = _stored_config(cls, config, version, data_dir) or config
    if isinstance(config, str) and config not in cls.builder_configs:
        near = difflib.get_close_matches(config, cls.builder_configs, 3, 0.5)
        own = json.dumps({"name": config})[:-1]
        raise errors.DatasetInputError(
            f"{naming.split_name(name)[0]} has no config {config!r}; it has "
            f"{', '.join(cls.builder_configs)}",
            expected=list(cls.builder_configs),
            found=config,
            hint=(f"did you mean {' or '.join(near)}? Else " if near else "")
            + "prepare a config of your own before you use it, with "
            f"--config='{own}, ...}}'",
        )
    data_dir = data_dir and os.path.expanduser(data_dir)
    with _quiet():
        return cls(data_dir=data_dir, config=config, version=version)


@contextlib.contextmanager
def _quiet():
    """Hides that TFDS warns of every config that it does not know."""

    def keep(record):
        return "custom data configuration" not in record.getMessage()

    logger = logging.get_absl_logger()
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _stored_config(cls, name, version, data_dir):
    """The config of the user's own that prepared data were made with.

    Returns:
        The config; None if there are no such data.
    """
    root = data_dir or tfds.core.constants.get_default_data_dir()
    root = pathlib.Path(os.path.expanduser(root)) / cls.name / name
    file = root / str(version or cls.VERSION) / "metadata.json"
    if not file.is_file():
        return None
    stored = json.loads(file.read_text())
    naming.check_schema(stored, f"{cls.name}/{name}")
    try:
        return cls.builder_config_cls(**stored["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise errors.LayoutError(
            f"the config that {file} names is not one of this version: {error}",
            dataset=f"{cls.name}/{name}",
            path=str(file),
            expected="fields of the present config",
            found=stored.get("config"),
            hint="prepare the data again with --config and --overwrite",
        ) from error


def _from_json(cls, text):
    try:
        fields = json.loads(text)
        base = fields.pop("base", None)
        if "name" not in fields:
            raise ValueError("it needs a 'name' of its own")
        if base is not None:
            if base not in cls.builder_configs:
                raise ValueError(f"there is no base config {base!r}")
            fields.setdefault("stream", fields["name"])
            return dataclasses.replace(cls.builder_configs[base], **fields)
        return cls.builder_config_cls(**fields)
    except (TypeError, ValueError) as error:
        known = [f.name for f in dataclasses.fields(cls.builder_config_cls)]
        raise errors.DatasetInputError(
            f"cannot use the config {text}: {error}",
            dataset=cls.name,
            expected=f"a JSON object with some of {known}",
            found=text,
            hint=f"the fields are {', '.join(known)}",
        ) from error


def prepare(
    name,
    data_dir=None,
    progress=True,
    *,
    config=None,
    overwrite=False,
    manual=False,
    download_config=None,
    download_dir=None,
    file_format=None,
    workers=None,
):
    """Builds a dataset unless it is there already.

    Args:
        name: Such as `"bouncing_balls/color4"`.
        data_dir: Where to; by default as TFDS has it.
        progress: Whether to show an estimate and a progress bar.
        config: See `make`.
        overwrite: Whether to build it anew. The old data stay until the new
            ones are complete.
        manual: Whether a set that needs files from the user may be built.
        download_config: TFDS's `DownloadConfig`.
        download_dir: Folder of downloads, with the manual folder inside.
        file_format: Format of the record files, as TFDS names it.
        workers: Processes that make examples; None: as the config says.

    Returns:
        The builder.

    Raises:
        DatasetInputError: If something is missing or does not fit.
    """
    builder = make(name, data_dir, config)
    if is_prepared(builder) and not overwrite:
        _check_prepared(builder)
        return builder
    settings = builder.builder_config
    label = estimates.label(builder)
    if settings.source != builder_base.GENERATED and not manual:
        raise errors.MissingFileError(
            f"the set is {settings.source}, not generated, and has not been "
            f"prepared in {builder.data_path.parent}",
            dataset=label,
            path=str(builder.data_path),
            expected="prepared data",
            found="none",
            hint="run 'python -m tfdecomp.prepare "
            f"{naming.short_name(label)} --manual_dir=FOLDER'"
            + (
                "; what is not in the folder is downloaded"
                if settings.source == builder_base.DOWNLOADED
                else ""
            ),
        )
    root = pathlib.Path(builder.data_dir_root)
    root.mkdir(parents=True, exist_ok=True)
    if not is_prepared(builder):
        for beside in root.glob(f"{REBUILD_PREFIX}*"):
            put_back(root, beside)
        if is_prepared(builder) and not overwrite:
            return make(name, data_dir, config)
    estimate = estimates.estimate(builder, download_config)
    estimates.check_disk(builder, root, estimate)
    if progress:
        estimates.announce(builder, root, estimate)
    options = {
        "download_config": download_config,
        "download_dir": download_dir or root / "downloads",
        "file_format": file_format,
    }
    with (
        estimates.explained(builder, estimate),
        _progress(builder, estimate.examples, progress, workers) as watch,
        contextlib.redirect_stdout(io.StringIO()),  # TFDS prints to it
    ):
        if is_prepared(builder):
            _rebuild(builder, root, watch, options)
        else:
            _build(builder, watch, options)
    return make(name, data_dir, config)


def is_prepared(builder):
    """Whether the data of a builder are complete on the disk."""
    return (builder.data_path / _INFO_NAME).exists()


def _check_prepared(builder):
    """Refuses prepared data that the present code or config would not give."""
    stored = builder.info.metadata or {}
    naming.check_schema(stored, estimates.label(builder))
    old = dict(stored.get("config") or {})
    new = json.loads(json.dumps(builder.builder_config.fields()))
    changed = [
        field
        for field in new
        if field not in _FREE_FIELDS and old.get(field) != new[field]
    ]
    if changed:
        field = changed[0]
        raise errors.DatasetInputError(
            f"the data in {builder.data_path} were made with {field} = "
            f"{old.get(field)!r}, the config now says {new[field]!r}",
            dataset=estimates.label(builder),
            path=str(builder.data_path),
            expected=new[field],
            found=old.get(field),
            hint="give the config another name, or rebuild it with --overwrite",
        )
    _warn_of_part(builder)


def _warn_of_part(builder):
    for split, size in builder.builder_config.split_sizes().items():
        info = builder.info.splits.get(split)
        if info is not None and info.num_examples < size:
            logging.warning(
                "%s: split %s holds %d of %d examples; prepare it with "
                "--overwrite to have all",
                estimates.label(builder),
                split,
                info.num_examples,
                size,
            )


@contextlib.contextmanager
def _progress(builder, total, show, workers):
    """One bar over all splits in place of TFDS's own.

    Yields:
        A function that connects a builder to the bar and returns it.
    """
    import tqdm

    # Without a terminal there is no bar, only the lines before and after.
    hidden = True if not show else None
    bar = tqdm.tqdm(
        total=total or None, unit=" examples", disable=hidden, leave=False
    )

    def on_progress(split, done):
        if done == 1:
            bar.set_description(f"{estimates.label(builder)} {split}")
        bar.update()

    def watch(some_builder):
        some_builder.on_progress = on_progress
        some_builder.workers = workers
        return some_builder

    begin = time.perf_counter()
    tfds.disable_progress_bar()
    try:
        with bar:
            yield watch
    finally:
        tfds.enable_progress_bar()
    if show:
        took = estimates.duration(time.perf_counter() - begin)
        print(f"{estimates.label(builder)}: done in {took}", file=sys.stderr)


def _build(builder, watch, options):
    """Builds a set that is not there; another process may do so meanwhile."""
    try:
        watch(builder).download_and_prepare(**options)
    except Exception:
        # Whole sets appear by a rename, which fails where one is already.
        if not is_prepared(builder):
            raise


def _rebuild(builder, root, watch, options):
    """Builds into a folder beside the old data, then swaps the two."""
    beside = pathlib.Path(tempfile.mkdtemp(prefix=REBUILD_PREFIX, dir=root))
    try:
        new = watch(
            type(builder)(data_dir=str(beside), config=builder.builder_config)
        )
        new.download_and_prepare(**options)
        _swap(pathlib.Path(new.data_dir), pathlib.Path(builder.data_dir), root)
    finally:
        put_back(root, beside)
        shutil.rmtree(beside, ignore_errors=True)


def _swap(new, target, root):
    """Puts a folder in place of another one, at one instant if possible."""
    if _exchange(new, target):
        return
    old = new.parents[2] / _OLD / target.relative_to(root)
    old.parent.mkdir(parents=True)
    os.replace(target, old)  # killed from here on, `put_back` has it
    os.replace(new, target)


def _exchange(one, other):
    """Swaps two folders; false where the system has no such call."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return rename(_HERE, paths[0], _HERE, paths[1], _EXCHANGE) == 0


def put_back(root, beside):
    """Returns the old data of a rebuild that was killed between its renames.

    Args:
        root: Folder of all prepared sets.
        beside: What a rebuild has left there.
    """
    old = pathlib.Path(beside) / _OLD
    for info in old.glob(f"**/{_INFO_NAME}"):
        target = pathlib.Path(root) / info.parent.relative_to(old)
        if not target.exists():
            os.replace(info.parent, target)


def check(name, data_dir=None, config=None):
    """Reads every record of a prepared set.

    Args:
        name: Such as `"bouncing_balls/color4"`.
        data_dir: Where prepared data are; by default as TFDS has it.
        config: See `make`.

    Returns:
        Split -> number of its records.

    Raises:
        MissingFileError: If the set, or one of its files, is not there.
        LayoutError: If a record is damaged, or one is lacking.
    """
    builder = make(name, data_dir, config)
    if not is_prepared(builder):
        raise errors.MissingFileError(
            f"it has not been prepared in {builder.data_path.parent}",
            dataset=estimates.label(builder),
            path=str(builder.data_path),
            expected="prepared data",
            found="none",
            hint="build it by the same command without --check",
        )
    return stored_records.check(builder)


def fresh_clips(
    name,
    split="test",
    *,
    seed,
    num_clips,
    config=None,
    data_dir=None,
    manual_dir=None,
):
    """Makes examples that no stored split holds; nothing is written.

    Args:
        name: A generated set, such as `"bouncing_balls/color4"`, or one that
            is generated from files which are still there.
        split: Split whose kind of examples is wanted.
        seed: Seed of the clips, independent of that of the stored set.
        num_clips: How many.
        config: See `make`; for clips longer or larger than stored ones.
        data_dir: Where prepared data are; the config of a set of one's own is
            read there.
        manual_dir: Folder of files that the set was made from; by default
            that of the downloads in `data_dir`.

    Returns:
        Iterator over examples of the common schema, as NumPy arrays.

    Raises:
        DatasetInputError: If the set is not generated, or the files that it
            was made from are not there.
    """
    if config is None:
        config = make(name, data_dir).builder_config
    with tempfile.TemporaryDirectory() as nowhere:
        builder = make(name, nowhere, config)
    config = builder.builder_config
    if not builder.makes_anew():
        raise errors.DatasetInputError(
            f"new clips can be made of generated sets only, this one is "
            f"{config.source}",
            dataset=estimates.label(builder),
            expected=builder_base.GENERATED,
            found=config.source,
            hint="score on one of its stored splits",
        )
    if num_clips < 1:
        raise ValueError(f"num_clips must be at least 1, not {num_clips}")
    if config.source != builder_base.GENERATED:
        _find_inputs(builder, data_dir, manual_dir)
    config = dataclasses.replace(config, seed=seed)
    make_block = builder.make_block(config, fresh=True)
    return _iterate(make_block, config, split, num_clips)


def _find_inputs(builder, data_dir, manual_dir):
    """Lets a builder find its files; those of the stored set alone will do."""
    root = data_dir or tfds.core.constants.get_default_data_dir()
    downloads = pathlib.Path(os.path.expanduser(root)) / "downloads"
    folder = manual_dir or downloads / "manual"
    builder.check_inputs(
        tfds.download.DownloadManager(
            download_dir=str(downloads),
            manual_dir=os.path.expanduser(folder),
            manual_dir_instructions=builder.MANUAL_DOWNLOAD_INSTRUCTIONS,
            dataset_name=builder.name,
        )
    )
    stored = make(estimates.label(builder), data_dir, builder.builder_config)
    if not is_prepared(stored):
        return
    split = min(stored.info.splits.values(), key=lambda s: s.num_examples)
    (old,) = tfds.as_numpy(stored.as_dataset(split=f"{split.name}[:1]"))
    make_block, index = builder.make_block(builder.builder_config), old["index"]
    (new,) = make_block(split.name, int(index), int(index) + 1)
    if old["video"].tobytes() != new["video"].tobytes():
        raise errors.LayoutError(
            f"the files found (in {folder}, or downloaded) are not those that "
            f"the data in {stored.data_path} were made from",
            dataset=estimates.label(builder),
            path=str(folder),
            expected=(stored.info.metadata or {}).get("source_files"),
            found=(builder.info.metadata or {}).get("source_files"),
            hint="give the folder of those with --manual_dir",
        )


def _iterate(make_block, config, split, count):
    for begin, end in builder_base.block_ranges(0, count, config.block_size):
        block = builder_base.make_complete(
            make_block, config, split, begin, end
        )
        for _, example in block:
            yield example
