"""Scores a trained model, or tracks in a file.

    python -m tfdecomp.evaluate --workdir=~/runs/a
    python -m tfdecomp.evaluate --workdir=~/runs/a --protocol=table1
    python -m tfdecomp.evaluate --workdir=~/runs/lavae --protocol=lavae
    python -m tfdecomp.evaluate --workdir=~/runs/dvip --protocol=dvip
    python -m tfdecomp.evaluate --workdir=~/runs/a --write_pictures
    python -m tfdecomp.evaluate --model=provide_balls_quick \
        --fresh_seed=7 --num_clips=64 --output=scores.json
    python -m tfdecomp.evaluate --workdir=~/runs/a --record=results/mine.jsonl
    python -m tfdecomp.evaluate --tracks=out/ --truth=gt.txt
    python -m tfdecomp.evaluate --tracks=mot.txt --truth=points.csv --radius=9

Protocols are the files of gin/evaluation/, or a file of your own. Results are
added to results.json in the work directory, each with its full protocol;
`python -m tfdecomp.tables` prints them beside the paper's. With --record the
run gets its line in a file of runs, with the config, the minutes and the
machine; the line of the same run and protocol is replaced.

With --tracks a prediction, or a tracker's file, is scored against the truth
of the same video: boxes as MOTChallenge has them, or points (a csv with
frame,id,y,x, or an .npz) with --radius. Frames without truth are left out, and
so are those that a prediction did not come to; --frames scores a part.
MOTChallenge counts frames from 1 (from 0 if the file has a frame 0), the
others count from 0; --first_frame says otherwise. Rows of confidence 0 in
the truth are not scored.
"""

import dataclasses
import os
import pathlib
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from tfdecomp.console import commands

FRESH_CLIPS = 100  # how many new clips, unless --num_clips says
SHOWN = (
    "ari",
    "f_ari",
    "ari_clip",
    "f_ari_clip",
    "mse",
    "mse_copied",
    "apart",
    "velocity_cosine",
    "count_accuracy",
    "count_error",
    "location_accuracy",
    "box_miou",
    "mota",
    "motp",
    "id_switches",
    "idf1",
    "hota",
    "ap",
    "nll",
    "kl",
    "nll_bound",
    "elbo",
    "mi_same",
    "mi_cross",
    "collapsed_latents",
)

_WORKDIR = flags.DEFINE_string("workdir", None, "Work directory of a run.")
_MODEL = flags.DEFINE_string(
    "model", None, "Name of a shipped model, or its folder."
)
_PROTOCOL = flags.DEFINE_string(
    "protocol",
    "default",
    "What is counted: a name in gin/evaluation/, or a .gin file.",
)
_FRESH_SEED = flags.DEFINE_integer(
    "fresh_seed",
    None,
    "Score newly generated clips of this seed (generated sets only).",
    lower_bound=0,
)
_NUM_CLIPS = flags.DEFINE_integer(
    "num_clips",
    None,
    "Clips to score, from the first. By default all stored ones; "
    f"{FRESH_CLIPS} new ones with --fresh_seed.",
    lower_bound=1,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "File for the result as one JSON object."
)
_RECORD = flags.DEFINE_string(
    "record",
    None,
    "File of runs (.jsonl), a line each, to write this one into; see "
    "results/README.md.",
)
_WRITE_PICTURES = flags.DEFINE_boolean(
    "write_pictures", False, "Whether to write pictures of the first clips."
)
_PICTURES = flags.DEFINE_string(
    "pictures",
    None,
    "Folder for pictures; implies --write_pictures. By default pictures/ in "
    "the work directory.",
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 8, "Clips at a time; changes no score.", lower_bound=1
)
_TRACKS = flags.DEFINE_string(
    "tracks",
    None,
    "Tracks to score: folder of a prediction, its tracks.csv, or a text as "
    "MOTChallenge has it.",
)
_TRUTH = flags.DEFINE_string(
    "truth", None, "True tracks of the same video, for --tracks."
)
_RADIUS = flags.DEFINE_float(
    "radius",
    None,
    "Pixels within which the centre of a box matches a true point. By default "
    "boxes match by an IoU of a half.",
)
_FIRST_FRAME = flags.DEFINE_integer(
    "first_frame",
    None,
    "Number that the truth gives to the first frame of the video. By default "
    "1 in texts as MOTChallenge has them, 0 in others.",
    lower_bound=0,
)
_FRAMES = flags.DEFINE_string(
    "frames",
    None,
    "FIRST:LAST frame to score with --tracks, both counted, from 0. By default "
    "all that have a truth.",
)
_TRUST_CONFIG = flags.DEFINE_boolean(
    "trust_config", False, commands.TRUST_CONFIG
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared datasets are. By default, as TFDS."
)


def main(argv):
    commands.refuse_words(argv)
    if _TRACKS.value is not None or _TRUTH.value is not None:
        return commands.finish(_evaluate_tracks)
    return commands.finish(_evaluate)


def _evaluate_tracks():
    from tfdecomp.data.formats import mot_files

    if None in (_TRACKS.value, _TRUTH.value) or _WORKDIR.value or _MODEL.value:
        raise ValueError(
            "give --tracks=OUT_OR_FILE and --truth=FILE together, without "
            "--workdir and --model"
        )
    # What is wrong with files shows before TensorFlow is loaded.
    frames = _frames(_FRAMES.value)
    found = mot_files.read_prediction(_TRACKS.value)
    true = mot_files.read(
        _TRUTH.value, is_truth=True, first_frame=_FIRST_FRAME.value
    )

    from tfdecomp.evaluation import results, track_files

    result = track_files.score(found, true, _RADIUS.value, frames)
    if _OUTPUT.value:
        print(f"wrote {results.write(_OUTPUT.value, result)}")
    print(track_files.table(result))


def _frames(text):
    """`"FIRST:LAST"` as two numbers; None stays None."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+):(\d+)", text)
    first, last = map(int, found.groups()) if found else (1, 0)
    if first > last:
        raise ValueError(
            f"--frames is {text!r}; expected FIRST:LAST, two numbers from 0, "
            "the second one not smaller"
        )
    return first, last


def _evaluate():
    from tfdecomp.storage import configs

    folder = commands.model_folder(_WORKDIR.value, _MODEL.value)
    pictures = _pictures_folder()
    protocol_file = _protocol_file(configs)
    if _RECORD.value:
        from tfdecomp.evaluation import runs

        runs.check_file(_RECORD.value)
    opened = commands.open_model(folder, trust_config=_TRUST_CONFIG.value)

    from tfdecomp.evaluation import results

    protocol = _protocol(configs, protocol_file)
    with commands.Bar("clips") as bar:
        result = commands.score(
            opened,
            protocol,
            _DATA_DIR.value,
            batch_size=_BATCH_SIZE.value,
            progress=bar.update,
        )
    if _WORKDIR.value:
        print(f"added to {results.append(folder, result)}")
    if _OUTPUT.value:
        print(f"wrote {results.write(_OUTPUT.value, result)}")
    if _RECORD.value:
        from tfdecomp.sharing import recording

        print(f"recorded in {recording.record(_RECORD.value, folder, result)}")
    _show(result)
    if pictures:
        from tfdecomp.evaluation.pictures import Painter, write

        painter = Painter(
            opened.model,
            protocol,
            trained_on=opened.trained_on,
            open_clips=commands.open_clips(_DATA_DIR.value),
        )
        files = write(pictures, painter.draw(), f"{protocol.name}_")
        print(f"wrote {len(files)} pictures to {pictures}")


def _pictures_folder():
    """Where pictures go, or None for no pictures."""
    if _PICTURES.value:
        return pathlib.Path(os.path.expanduser(_PICTURES.value))
    if not _WRITE_PICTURES.value:
        return None
    if _WORKDIR.value is None:
        raise ValueError(
            "--write_pictures with --model needs a folder: --pictures=DIR"
        )
    return pathlib.Path(os.path.expanduser(_WORKDIR.value)) / "pictures"


def _protocol_file(configs):
    name = _PROTOCOL.value
    if name.endswith(".gin"):
        return configs.find(name)
    known = sorted(
        pathlib.Path(path).stem
        for path in configs.available()
        if path.startswith("evaluation/")
    )
    if name not in known:
        raise ValueError(
            f"there is no protocol {name!r}; there are {', '.join(known)}, or "
            "give the path of a .gin file"
        )
    return configs.find(f"evaluation/{name}.gin")


def _protocol(configs, path):
    """The protocol of a file, whatever the run's config says of protocols."""
    import gin

    own_length = configs.parameter("evaluation.Protocol.num_frames")
    with configs.parsed([path]):
        protocol = gin.get_configurable("evaluation.Protocol")()
    changes = {"num_clips": _NUM_CLIPS.value or protocol.num_clips}
    if _FRESH_SEED.value is not None:
        changes["fresh_seed"] = _FRESH_SEED.value
        changes["num_clips"] = changes["num_clips"] or FRESH_CLIPS
    if protocol.name == "default" and protocol.num_frames is None:
        changes["num_frames"] = own_length
    return dataclasses.replace(protocol, **changes)


def _show(result):
    """Prints the scores, one line for each condition."""
    for part in result.get("conditions", [result]):
        length = str(part["num_frames"])
        if part["num_predicted"]:
            length += f" + {part['num_predicted']} predicted"
        scores = "  ".join(
            f"{name} {_text(part[name])}"
            for name in SHOWN
            if part.get(name) is not None
        )
        split = part["split"]
        other = f":{split}" if split != result["protocol"]["split"] else ""
        print(
            f"{part['dataset']}{other}, {part['num_clips']} clips of {length} "
            f"frames: {scores}"
        )


def _text(score):
    return str(score) if isinstance(score, int) else f"{score:.4f}"


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
