"""Builds datasets, as `tfds build` does, without Apache Beam.

    python -m tfdecomp.prepare bouncing_balls/color4
    python -m tfdecomp.prepare bouncing_balls/h5_color4 --manual_dir=~/rnem
    python -m tfdecomp.prepare atari/space_invaders_crops --record
    python -m tfdecomp.prepare multi_object/tetrominoes
    python -m tfdecomp.prepare bouncing_balls --config='{"name": "mine", \\
        "base": "color3_quick", "speed": 0.8}'
    python -m tfdecomp.prepare bouncing_balls/color4 --check
    python -m tfdecomp.prepare list
    python -m tfdecomp.prepare info bouncing_balls/color4
    python -m tfdecomp.prepare clean

Names go with or without the prefix `tfdecomp_`; a name without a config
stands for all configs that need no files from you. `--record` makes the files
of sets whose builder can do so. The other flags are those of `tfds build`.
"""

import argparse
import dataclasses
import functools
import importlib
import importlib.util
import json
import os
import pathlib
import shutil
import sys
import time

from tfdecomp import builders
from tfdecomp.console import quiet
from tfdecomp.data import errors, naming
from tfdecomp.data.building import builder_base, estimates

_STALE = 600  # seconds without a change after which leftovers may go


def main(argv=None) -> int:
    """Runs the command; the exit code is 2 if something does not fit."""
    argv = list(sys.argv if argv is None else argv)
    quiet.tensorflow()
    commands = {"list": _list, "info": _info, "clean": _clean}
    try:
        if len(argv) > 1 and argv[1] in commands:
            commands[argv[1]](argv[2:])
        else:
            _build(argv)
    except (errors.DatasetInputError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was left half-written", file=sys.stderr)
        return 130
    return 0


def _parse(argv):
    """Flags as TFDS has them, and our own."""
    import simple_parsing
    from tensorflow_datasets.scripts.cli import build

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Args(build.Args):
        """Builds datasets."""

        # Processes that simulate; the content does not depend on it.
        workers: int = simple_parsing.field(default=1)
        # Build nothing; read every record of what is there.
        check: bool = simple_parsing.field(default=False)
        # Record the files that the set is made from, where some are missing.
        record: bool = simple_parsing.field(default=False)
        # How many there shall be, with --record; by default as published.
        episodes: int | None = simple_parsing.field(default=None)

    # Not TFDS's own parser: that one adds all absl flags of the process,
    # which clash with these where a training command is loaded too.
    parser = simple_parsing.ArgumentParser(
        description=__doc__, allow_abbrev=False
    )
    parser.add_arguments(Args, dest="args")
    return parser.parse_args(argv[1:]).args


def _build(argv):
    args = _parse(argv)
    for module in (args.generation.imports or "").split(","):
        if module:
            importlib.import_module(module)
    _refuse_unsupported(args)
    jobs = [job for name in _asked(args) for job in _configs(name, args)]
    if not jobs:
        name = _asked(args)[0]
        raise ValueError(
            f"every config of {name} needs files from you, so name one: "
            f"'python -m tfdecomp.prepare info {name}' says which files"
        )
    _refuse_unrecordable([name for name, _ in jobs], args)
    run = functools.partial(_prepare_one, args=args)
    processes = args.generation.num_processes
    if processes == 1 or len(jobs) == 1:
        for job in jobs:
            run(job)
        return
    import concurrent.futures
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context) as pool:
        list(pool.map(_prepare_quietly, jobs, [argv] * len(jobs)))


def _prepare_quietly(job, argv):
    """One config in a process of its own."""
    _prepare_one(job, _parse(argv), progress=False)
    print(f"{job[0]}: done", file=sys.stderr)


def _refuse_unsupported(args):
    if args.generation.beam_pipeline_options:
        if importlib.util.find_spec("apache_beam") is None:
            raise ValueError(
                "--beam_pipeline_options needs Apache Beam, which is not "
                "installed; run 'pip install tfdecomp[data]' or leave the "
                "flag out"
            )
    if args.generation.download_only:
        raise ValueError(
            "--download_only: a build downloads what it reads, and nothing "
            "else does; leave the flag out"
        )
    if args.automation.experimental_latest_version:
        raise ValueError(
            "--experimental_latest_version: there are no such versions; "
            "leave the flag out"
        )


def _refuse_unrecordable(names, args):
    if args.episodes is not None and not args.record:
        raise ValueError(
            "--episodes says how many to record; add --record or leave it out"
        )
    if args.record and args.check:
        raise ValueError(
            "--check reads what is there; leave it or --record out"
        )
    for name in names if args.record else ():
        if builders.builder_cls(name).record is None:
            able = [
                n for n in builders.names() if builders.builder_cls(n).record
            ]
            raise ValueError(
                f"{name} cannot be recorded, {', '.join(able)} can; leave "
                "--record out"
            )


def _asked(args):
    """Names of the datasets to build."""
    given = [*args.positional_datasets, *args.datasets]
    if args.automation.exclude_datasets is not None:
        if given:
            raise ValueError("--exclude_datasets goes without dataset names")
        excluded = args.automation.exclude_datasets.split(",")
        excluded = [naming.split_name(name)[0] for name in excluded if name]
        return [name for name in builders.names() if name not in excluded]
    if not given:
        raise ValueError(
            "which dataset? There are "
            + ", ".join(f"{name}/CONFIG" for name in builders.names())
            + "; 'python -m tfdecomp.prepare list' shows the configs"
        )
    return [_from_path(name) for name in given]


def _from_path(name):
    """`datasets/bouncing_balls` is as good as `bouncing_balls`."""
    path = pathlib.Path(os.path.expanduser(name))
    if path.is_dir() and path.resolve().parent == builders.folder():
        return path.resolve().name
    return name


def _configs(name, args):
    """`(name, config)` of everything that a name stands for."""
    cls = builders.builder_cls(name)
    named = naming.split_name(name)[1]
    index = args.generation.config_idx
    asked = [c for c in (named, args.generation.config, index) if c is not None]
    if len(asked) > 1:
        raise ValueError(
            f"{name}: name one config, by NAME/CONFIG, --config or --config_idx"
        )
    if index is not None:
        count = len(cls.BUILDER_CONFIGS)
        if not 0 <= index < count:
            raise ValueError(
                f"--config_idx is {index}, expected 0..{count - 1}"
            )
        return [(name, cls.BUILDER_CONFIGS[index].name)]
    if asked:
        return [(name, asked[0])]
    return [
        (name, config.name)
        for config in cls.BUILDER_CONFIGS
        if config.source != builder_base.MANUAL
    ]


def _prepare_one(job, args, progress=True):
    name, config = job
    data_dir = args.paths.data_dir.expanduser()
    if args.check:
        counts = builders.check(name, data_dir, config)
        _print_sizes(builders.make(name, data_dir, config), counts, "whole, ")
        return
    builder = builders.make(name, data_dir, config)
    exists = builders.is_prepared(builder)
    if exists and args.debug.fail_if_exists:
        raise ValueError(
            f"{builder.name} exists already in {builder.data_path}; leave "
            "--fail_if_exists out, or pass --overwrite"
        )
    if not isinstance(config, str) or config.startswith("{"):
        config = builder.builder_config
    download_config = _download_config(args, builder)
    options = {
        "config": config,
        "overwrite": args.debug.overwrite,
        "manual": True,
        "download_config": download_config,
        "download_dir": args.paths.download_dir,
        "file_format": args.generation.file_format,
        "workers": args.workers,
    }
    if args.record and exists and not args.debug.overwrite:
        print(
            f"{builder.data_path} is there already, so nothing was recorded; "
            "--overwrite records what is missing and builds it anew",
            file=sys.stderr,
        )
    elif args.record:
        _record(builder, args, download_config, progress)
    if args.generation.update_metadata_only and exists:
        builder.download_and_prepare(download_config=download_config)
    else:
        builder = builders.prepare(name, data_dir, progress, **options)
    _publish(builder, args)
    splits = {s: info.num_examples for s, info in builder.info.splits.items()}
    _print_sizes(builder, splits)


def _record(builder, args, download_config, progress):
    """Lets a builder make its files, in the folder where it will look."""
    import tqdm

    downloads = args.paths.download_dir or builder.data_dir_root / "downloads"
    folder = download_config.manual_dir or downloads / "manual"
    hidden = None if progress else True
    with tqdm.tqdm(unit=" episodes", disable=hidden, leave=False) as bar:

        def on_progress(done, total):
            bar.total = total
            bar.update(done - bar.n)

        made = builder.record(pathlib.Path(folder), args.episodes, on_progress)
    print(
        f"{estimates.label(builder)}: recorded {made} episodes in {folder}; "
        "those that were there stay as they are",
        file=sys.stderr,
    )


def _print_sizes(builder, splits, found=""):
    sizes = ", ".join(f"{split} {n:,}" for split, n in splits.items())
    print(f"{builder.data_path}: {found}{sizes}")


def _download_config(args, builder):
    import tensorflow_datasets as tfds

    generation = args.generation
    manual_dir = args.paths.manual_dir
    if manual_dir is not None:
        manual_dir = manual_dir.expanduser()
        if args.paths.add_name_to_manual_dir:
            manual_dir = manual_dir / builder.name
    extra = {}
    if generation.max_shard_size_mb:
        extra["max_shard_size"] = generation.max_shard_size_mb << 20
    if generation.num_shards:
        extra["num_shards"] = generation.num_shards
    if generation.download_config:
        extra.update(json.loads(generation.download_config))
    if generation.update_metadata_only:
        extra["download_mode"] = tfds.GenerateMode.UPDATE_DATASET_INFO
    if generation.beam_pipeline_options:
        from apache_beam.options import pipeline_options

        flags = generation.beam_pipeline_options.split(",")
        extra["beam_options"] = pipeline_options.PipelineOptions(
            flags=[f"--{flag}" for flag in flags]
        )
    return tfds.download.DownloadConfig(
        extract_dir=args.paths.extract_dir,
        manual_dir=manual_dir,
        max_examples_per_split=args.debug.max_examples_per_split,
        register_checksums=generation.register_checksums,
        force_checksums_validation=generation.force_checksums_validation,
        nondeterministic_order=generation.nondeterministic_order,
        # No look-up in a bucket: building needs no network.
        try_download_gcs=False,
        **extra,
    )


def _publish(builder, args):
    """Copies the finished data to `--publish_dir`."""
    if args.publishing.publish_dir is None:
        return
    target = args.publishing.publish_dir.expanduser() / builder.info.full_name
    if target.exists():
        if args.publishing.skip_if_published:
            return
        if not args.debug.overwrite:
            raise ValueError(
                f"{target} exists already; pass --overwrite or "
                "--skip_if_published"
            )
    partial = target.parent / f"incomplete.publish_{target.name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(builder.data_dir, partial)
    if target.exists():
        shutil.rmtree(target)
    os.replace(partial, target)


def _sub_parser(command, description):
    parser = argparse.ArgumentParser(
        prog=f"python -m tfdecomp.prepare {command}", description=description
    )
    parser.add_argument(
        "--data_dir", help="where prepared data are; by default as TFDS has it"
    )
    return parser


def _list(argv):
    """Prints all datasets and configs."""
    parser = _sub_parser("list", "Lists all datasets and configs.")
    args = parser.parse_args(argv)
    print(f"{'name':40}{'source':11}{'T x H x W x C':19}{'clips':>8}  prepared")
    for name in builders.names():
        for config in builders.builder_cls(name).builder_configs.values():
            builder = builders.make(f"{name}/{config.name}", args.data_dir)
            shape = (
                config.num_frames,
                config.height,
                config.width,
                config.channels,
            )
            clips = sum(config.split_sizes().values())
            done = builders.is_prepared(builder)
            print(
                f"{name + '/' + config.name:40}{config.source:11}"
                f"{' x '.join(map(str, shape)):19}"
                f"{clips or '':>8}  {'yes' if done else 'no'}"
            )


def _info(argv):
    """Prints what is known of a dataset."""
    parser = _sub_parser("info", "Shows one dataset.")
    parser.add_argument("name", help="such as bouncing_balls/color4")
    args = parser.parse_args(argv)
    builder = builders.make(args.name, args.data_dir)
    done = builders.is_prepared(builder)
    config = builder.builder_config
    print(f"{builder.name}/{config.name} {builder.version}")
    print(f"  {'in' if done else 'not prepared in'} {builder.data_path}")
    if done:
        for split, info in builder.info.splits.items():
            print(f"  {split}: {info.num_examples:,} examples")
        print(f"  size: {int(builder.info.dataset_size):,} bytes")
    else:
        print(f"  splits: {config.split_sizes()}")
    if config.source != builder_base.GENERATED:
        print(f"  {builder.MANUAL_DOWNLOAD_INSTRUCTIONS}")
    print("  features:")
    for key, feature in builder.info.features.items():
        print(f"    {key}: {feature}".replace("\n", "\n    "))
    print("  metadata:")
    print(json.dumps(dict(builder.info.metadata), indent=2, default=str))


def _clean(argv):
    """Removes what killed builds have left behind."""
    parser = _sub_parser("clean", "Removes leftovers of killed builds.")
    parser.add_argument(
        "--force",
        action="store_true",
        help="also those that changed in the last ten minutes",
    )
    args = parser.parse_args(argv)
    import tensorflow_datasets as tfds

    root = args.data_dir or tfds.core.constants.get_default_data_dir()
    root = pathlib.Path(os.path.expanduser(root))
    left = [
        *root.glob(f"{naming.PREFIX}*/**/incomplete.*"),
        *root.glob(f"{builders.REBUILD_PREFIX}*"),
    ]
    for path in left:
        if not path.exists():
            continue
        if path.name.startswith(builders.REBUILD_PREFIX):
            builders.put_back(root, path)
        age = time.time() - _last_change(path)
        if age < _STALE and not args.force:
            print(f"left {path}: changed {age:.0f} s ago; --force removes it")
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        print(f"removed {path}")
    if not left:
        print(f"nothing to remove in {root}")


def _last_change(path):
    return max(p.stat().st_mtime for p in (path, *path.rglob("*")))


if __name__ == "__main__":
    sys.exit(main())
