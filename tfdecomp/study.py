"""Studies of a trained model, after the IODINE, LAVAE and DVIP papers.

    python -m tfdecomp.study factors --workdir=~/runs/a --output=~/studies/a
    python -m tfdecomp.study refinements --workdir=~/runs/a --output=DIR
    python -m tfdecomp.study held_out --workdir=~/runs/a --output=DIR \\
        --combination=color=green,shape=sphere
    python -m tfdecomp.study generation --workdir=~/runs/a --output=DIR \\
        --counts=4,5
    python -m tfdecomp.study input_ablation --workdirs=~/runs/a,~/runs/b \\
        --output=DIR

`factors` (factor regression, beside a VAE with --baseline_workdir),
`refinements` (scores after 0 to 15), `slots` (fewer and more than trained),
`more_objects`, `held_out` (an unseen combination of features),
`multistability` (many runs on one ambiguous image), `latent_space` (PCA and
t-SNE), `traversals` and `input_ablation` (several runs side by side). Where
the model says where objects are: `reconstructions` (places and objects one by
one), `generation` (samples of the prior), `swap` (objects trade places) and
`location_traversal` (one object moves). Of factors that predict themselves:
`independent_generations` (one moves, the others stand), `factor_objects`
(which true objects move with it) and `correlation` (of latents a frame
apart). `rollout_error` is for all who predict frames. Each writes NAME.json
with all that made it, NAME.md, pictures and videos.

More settings are gin's: --gin_param="studies.Slots.num_slots = (3, 5, 7)".
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from tfdecomp.console import commands

_WORKDIR = flags.DEFINE_string("workdir", None, "Work directory of a run.")
_MODEL = flags.DEFINE_string(
    "model", None, "Name of a shipped model, or its folder."
)
_WORKDIRS = flags.DEFINE_list(
    "workdirs", [], "Several work directories, to compare; no --workdir then."
)
_BASELINE = flags.DEFINE_string(
    "baseline_workdir", None, "Run of a VAE to set beside, for factors."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for the results.", required=True
)
_TRUST_CONFIG = flags.DEFINE_boolean(
    "trust_config", False, commands.TRUST_CONFIG
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared datasets are. By default, as TFDS."
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 8, "Images at a time; changes no result.", lower_bound=1
)
_GIN_PARAM = flags.DEFINE_multi_string(
    "gin_param", [], "A setting: 'studies.Refinements.num_refinements = 20'."
)
# Flags that are settings of a study.
_SETTINGS = {
    "dataset": flags.DEFINE_string(
        "dataset", None, "Set to look at. By default the one trained on."
    ),
    "split": flags.DEFINE_string("split", None, "Split. By default test."),
    "num_clips": flags.DEFINE_integer(
        "num_clips",
        None,
        "Images; in multistability runs, in generation scenes.",
        lower_bound=1,
    ),
    "seed": flags.DEFINE_integer(
        "seed", None, "Seed of the model's noise.", lower_bound=0
    ),
    "combination": flags.DEFINE_string(
        "combination", None, "For held_out: color=green,shape=sphere."
    ),
    "counts": flags.DEFINE_string(
        "counts", None, "For generation: numbers of objects, such as 4,5."
    ),
    "image": flags.DEFINE_integer(
        "image", None, "For multistability: number of the image.", lower_bound=0
    ),
}
_COMPARING = ("factors", "refinements", "input_ablation")


def main(argv):
    return commands.finish(lambda: _study(argv[1:]))


def _study(words):
    from tfdecomp.evaluation import studies

    if len(words) != 1:
        raise ValueError(
            "give one study, such as 'python -m tfdecomp.study refinements'; "
            f"there are {', '.join(studies.NAMES)}"
        )
    (name,) = words
    studies.find(name)
    folders = _folders(name)
    with commands.Bar("images") as bar:
        opened = _open(folders[0], bar)
        study = _settings(name)
        others = [_open(folder, bar) for folder in folders[1:]]
        findings = study.run(opened, others)
    print(findings.table)
    from tfdecomp.evaluation.studies.study import write

    for file in write(_OUTPUT.value, name, findings):
        print(f"wrote {file}")


def _folders(name):
    """The folders of all models that take part, the first one first."""
    if _WORKDIRS.value:
        if _WORKDIR.value or _MODEL.value:
            raise ValueError("--workdirs stands alone; add the folder to it")
        folders = [commands.model_folder(w, None) for w in _WORKDIRS.value]
    else:
        folders = [commands.model_folder(_WORKDIR.value, _MODEL.value)]
    if _BASELINE.value:
        folders.append(commands.model_folder(_BASELINE.value, None))
    if len(folders) > 1 and name not in _COMPARING:
        raise ValueError(
            f"{name} looks at one model; {', '.join(_COMPARING)} compare"
        )
    return folders


def _open(folder, bar):
    """The model of a folder, as a subject of a study."""
    opened = commands.open_model(folder, _GIN_PARAM.value, _TRUST_CONFIG.value)

    from tfdecomp.evaluation import clips
    from tfdecomp.evaluation.studies.study import Subject

    return Subject(
        opened.model,
        commands.open_clips(_DATA_DIR.value),
        opened.trained_on,
        opened.name,
        opened.run,
        clips.picture_arguments(),
        _BATCH_SIZE.value,
        bar.update,
    )


def _settings(name):
    """The study, set by gin and, over it, by the flags."""
    import dataclasses

    import gin

    from tfdecomp.evaluation import studies

    cls = studies.find(name)
    given = {
        key: flag.value
        for key, flag in _SETTINGS.items()
        if flag.value is not None
    }
    known = [field.name for field in dataclasses.fields(cls)]
    unknown = [f"--{key}" for key in given if key not in known]
    if unknown:
        raise ValueError(f"{name} takes no {', '.join(unknown)}")
    return gin.get_configurable(cls)(**given)


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
