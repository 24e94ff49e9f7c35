"""Fits a model to your own video of a fixed camera, and tracks what moves.

    python -m tfdecomp.fit --input=fish.mp4 --output=fish/ --objects=8
    python -m tfdecomp.fit --input=recordings/ --output=dish/ --minutes=60

Looks at the video (background, size and number of what moves), prints what it
chose, trains SILOT on it from shipped weights and then predicts. The output
folder then holds

    out/               what 'tfdecomp predict' writes: masks, overlay.mp4,
                       tracks.csv, mot.txt, report.html, doubtful.csv, ...
    model.json, ...    a model: tfdecomp.load('fish/'), or
                       'tfdecomp predict --model=fish/' on another video
    fit.gin, run/      the training, as an ordinary run
    footage/           frames that it was trained on
    fit.json           what was chosen, and how far it came

Several videos of one scene, in a folder, are one fit. Ctrl-C keeps what there
is; the same command goes on. The last line says how far to trust the result.
"""

import os
import sys

from absl import app, flags, logging

from tfdecomp.console import commands, tracking_flags

_INPUT = flags.DEFINE_multi_string(
    "input",
    None,
    "Video, folder of numbered pictures, or folder of videos of one scene.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for the model and the results.", required=True
)
_MINUTES = flags.DEFINE_float(
    "minutes", 30.0, "How long it may take in all, about."
)
_MODEL = flags.DEFINE_string("model", "silot_motion", "Model to begin with.")
_INPUTS = flags.DEFINE_enum(
    "inputs",
    "difference",
    ["difference", "given"],
    "What the model sees: how far frames differ from the background, or "
    "frames as they are, with the background given to it.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the training.", lower_bound=0)


def main(argv):
    commands.refuse_words(argv)
    from tfdecomp.fitting import stopping

    try:
        status = commands.finish(_fit, quiet=logging.ERROR)
    except KeyboardInterrupt:  # while looking, or a second time
        print("interrupted; the same command goes on", file=sys.stderr)
        status = stopping.STATUS
    if status == stopping.STATUS:
        stopping.leave()
    return status


def _fit():
    # What is wrong with flags and files shows before TensorFlow is loaded.
    sources = _checked()

    from tfdecomp.fitting import run, stopping
    from tfdecomp.signals import StopOnSignal

    with (
        StopOnSignal("stopping, and keeping what there is ...") as stop,
        stopping.Deadline(),
        commands.StageBar() as bar,
    ):
        state = run.fit(
            sources,
            _OUTPUT.value,
            minutes=_MINUTES.value,
            model=_MODEL.value,
            inputs=_INPUTS.value,
            seed=_SEED.value,
            say=bar.say,
            progress=bar.update,
            should_stop=lambda: stop.requested,
            **tracking_flags.options(),
        )
    if state.get("stage") != "finished":
        return stopping.STATUS
    out = os.path.join(_OUTPUT.value, run.OUT)
    print(f"model in {_OUTPUT.value}, tracks and report in {out}")
    for trust in state["trust"]:
        print(f"{trust['level']}: {trust['sentence']}")
    return 0


def _checked():
    """The videos, if all that can be known of them now is right."""
    from tfdecomp.fitting import inputs, request
    from tfdecomp.prediction.options import Options
    from tfdecomp.storage import catalogue

    options = Options(**tracking_flags.options())
    catalogue.resolve(_MODEL.value)
    sources = inputs.check(_INPUT.value, _OUTPUT.value, options)
    request.Request(
        tuple(sources),
        _MINUTES.value,
        options,
        _MODEL.value,
        _INPUTS.value,
        _SEED.value,
    )
    return sources


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
