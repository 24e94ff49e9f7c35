"""Configs are found, parsed, checked, saved, and build what they say."""

import pathlib
import re
import types

import gin
import numpy as np
import pytest
import tensorflow as tf

from tfdecomp import builders, training
from tfdecomp.data import fake
from tfdecomp.storage import configs
from tfdecomp.training import loop

RUNNABLE = [
    path
    for path in configs.available()
    if path.split("/")[0]
    not in ("models", "datasets", "optimization", "evaluation")
]
MACROS = (
    "BATCH_SIZE",
    "CLIP_LENGTH",
    "NUM_SLOTS",
    "NUM_REFINEMENTS",
    "IMAGE_SIZE",
    "PRECISION",
    "NUM_STEPS",
)


@pytest.fixture(autouse=True)
def own_config():
    with configs.isolated():
        yield


@pytest.fixture(scope="module")
def tiny():
    """A config that parses in an instant."""
    return ["models/provide.gin"], [
        "IMAGE_SIZE = 16",
        "NUM_SLOTS = 3",
        "NUM_REFINEMENTS = 2",
    ]


@pytest.mark.parametrize("path", configs.available())
def test_every_file_begins_with_what_it_is(path):
    first = (configs.root() / path).read_text().splitlines()[0]
    assert first.startswith("# ") and len(first) > 20


@pytest.mark.parametrize("path", RUNNABLE)
def test_header_names_the_command_and_what_to_expect(path):
    text = (configs.root() / path).read_text()
    header = text.split("\n\n")[0]
    assert f"python -m tfdecomp.train --gin_file=gin/{path} " in header
    assert re.search(r"^# Expected: \S", header, re.MULTILINE)


@pytest.mark.parametrize("path", RUNNABLE)
def test_runnable_file_parses_and_sets_the_macros(path):
    configs.parse([path])
    for name in MACROS:
        if name == "NUM_REFINEMENTS" and "seq_iodine" in path:
            continue  # one refinement per frame
        assert configs.macro(name) is not None
    assert configs.parameter("training.run.num_steps") == configs.macro(
        "NUM_STEPS"
    )
    assert gin.config_is_locked()


@pytest.mark.parametrize(
    "path",
    [
        path
        if path.startswith("smoke")
        else pytest.param(path, marks=pytest.mark.slow)
        for path in RUNNABLE
    ],
)
def test_runnable_file_builds_and_keeps_the_contract(path):
    configs.parse([path], ["BATCH_SIZE = 2", "CLIP_LENGTH = 2"])
    settings = training.build_settings()
    model = settings.model
    height, width = model.image_size
    batch = fake.fake_batch(2, 2, height, width, model.channels)
    outputs = model({"video": tf.constant(batch["video"])}, training=True)
    slots = configs.macro("NUM_SLOTS")
    if getattr(model, "entangled", False):
        slots = 1  # in place of as many factors
    assert model.num_slots == slots
    assert outputs["loss"].shape == (2,)
    assert np.all(np.isfinite(outputs["loss"]))
    assert outputs["recon"].shape == batch["video"].shape
    if "masks" in outputs:  # a VAE has none
        shape = (2, 2, model.num_slots, height, width, 1)
        assert outputs["masks"].shape == shape
        np.testing.assert_allclose(
            tf.reduce_sum(outputs["masks"], axis=2), 1.0, rtol=1e-5
        )


def sets_by_file():
    """Published files with their datasets, and those their headers name."""
    for path in RUNNABLE:
        text = (configs.root() / path).read_text()
        # The others are trained; a folder of one's own has any size.
        is_own = re.search("(video|picture)_folder", text)
        if path.startswith(("quick", "smoke")) or is_own:
            continue
        named = re.findall(r"'(tfdecomp_\w+/\w+)'", text.split("\n\n")[0])
        yield from ((path, name) for name in (None, *named))


@pytest.mark.parametrize(("path", "dataset"), sets_by_file())
def test_datasets_that_a_file_names_fit_its_model(path, dataset, tmp_path):
    configs.parse([path], [f"DATASET = '{dataset}'"] if dataset else [])
    dataset = configs.parameter("training.run.dataset")
    builder = builders.make(dataset, tmp_path)
    config, side = builder.builder_config, configs.macro("IMAGE_SIZE")
    changes = ("data.make_dataset.crop", "data.make_dataset.resize")
    if not any(map(configs.parameter, changes)):
        assert (config.height, config.width) == (side, side)
    if not configs.parameter("training.run.allow_few_slots"):
        reference = gin.query_parameter("training.run.model")
        model = types.SimpleNamespace(
            num_slots=configs.macro("NUM_SLOTS"),
            background_slot=reference.configurable.wrapped.background_slot,
        )
        loop._check_slots(builder, model)  # raises an error


@pytest.mark.parametrize("name", ["gin", "datasets"])
def test_config_and_dataset_folders_are_no_packages(name):
    # With one, `import gin` from a checkout would find the folder.
    assert not (configs.root().parent / name / "__init__.py").exists()


@pytest.mark.parametrize(
    "given", ["gin/provide.gin", "provide.gin", "provide", "gin/provide"]
)
def test_a_file_is_found_under_any_of_its_names(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configs.find(given).resolve() == configs.root() / "provide.gin"


def test_a_given_path_wins_over_the_shipped_file(tmp_path, monkeypatch):
    (tmp_path / "provide.gin").write_text("# Mine.\n")
    monkeypatch.chdir(tmp_path)
    assert configs.find("provide.gin") == tmp_path / "provide.gin"


def test_includes_do_not_depend_on_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "provide.gin").write_text("this is not gin\n")
    monkeypatch.chdir(tmp_path)
    configs.parse(["smoke/provide.gin"])
    assert configs.macro("NUM_SLOTS") == 4


def test_missing_file_names_the_nearest():
    with pytest.raises(configs.ConfigError, match="smoke/provide.gin"):
        configs.find("gin/smoke/provid.gin")


def test_a_config_of_the_papers_is_found_without_its_system_s_folder(tmp_path):
    # As it was named before systems had folders of their own there.
    wanted = configs.root() / "papers" / "silot" / "silot_mnist_12.gin"
    for name in ("papers/silot_mnist_12", "gin/papers/silot_mnist_12.gin"):
        assert configs.find(name) == wanted
    own = tmp_path / "own.gin"
    own.write_text("include 'papers/silot_mnist_12.gin'\nNUM_STEPS = 7\n")
    configs.parse([own])
    assert configs.macro("NUM_STEPS") == 7
    assert configs.macro("IMAGE_SIZE") == 48
    with pytest.raises(configs.ConfigError, match="no config"):
        configs.find("papers/silot_mnist_*")


def test_unknown_configurable_names_the_nearest(tiny):
    with pytest.raises(configs.ConfigError) as error:
        configs.parse(tiny[0], [*tiny[1], "models.PROVDE.num_slots = 3"])
    assert "did you mean" in str(error.value)
    assert "PROVIDE" in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_reference_names_the_nearest(tiny):
    line = "training.run.optimizer = @training.Adm()"
    with pytest.raises(configs.ConfigError, match="did you mean.*Adam"):
        configs.parse(tiny[0], [*tiny[1], line])


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("training.Adam.learning_rat = 1.0", "learning_rate"),
        # Keras classes take **kwargs, so gin itself lets this one pass.
        ("models.PROVIDE.num_slot = 4", "num_slots"),
    ],
)
def test_unknown_parameter_names_the_nearest(tiny, line, nearest):
    with pytest.raises(configs.ConfigError, match=f"did you mean {nearest}"):
        configs.parse(tiny[0], [*tiny[1], line])


def test_unknown_macro_on_the_command_line_is_an_error():
    with pytest.raises(configs.ConfigError, match="did you mean NUM_SLOTS"):
        configs.parse(["smoke/provide.gin"], ["NUM_SLOT = 4"])


def test_undefined_macro_is_an_error():
    with pytest.raises(configs.ConfigError, match="%IMAGE_SIZE"):
        configs.parse(
            ["models/provide.gin"], ["NUM_SLOTS = 3", "NUM_REFINEMENTS = 2"]
        )


def test_missing_include_is_an_error(tmp_path):
    path = tmp_path / "mine.gin"
    path.write_text("include 'models/provid.gin'\n")
    with pytest.raises(configs.ConfigError, match="models/provide.gin"):
        configs.parse([path])


def test_syntax_error_names_file_and_line(tmp_path):
    path = tmp_path / "mine.gin"
    path.write_text("A = 1\nB = = 2\n")
    with pytest.raises(configs.ConfigError, match="mine.gin, line 2"):
        configs.parse([path])


def test_bindings_override_the_file_and_files_their_includes(tmp_path):
    path = tmp_path / "mine.gin"
    path.write_text("include 'smoke/provide.gin'\nNUM_SLOTS = 5\n")
    configs.parse([path])
    assert configs.macro("NUM_SLOTS") == 5
    configs.parse([path], ["NUM_SLOTS = 7"])
    assert configs.macro("NUM_SLOTS") == 7


def test_missing_macro_says_how_to_set_it():
    configs.parse([], ["A = 1"])
    with pytest.raises(configs.ConfigError, match="--gin_param"):
        configs.macro("B")
    assert configs.macro("B", default=3) == 3


def test_parsed_gives_the_earlier_config_back():
    configs.parse([], ["A = 1", "training.Adam.beta_1 = 0.5"])
    before = configs.asked()
    with configs.parsed(["smoke/provide.gin"]):
        assert configs.macro("NUM_SLOTS") == 4
    assert configs.asked() == before
    assert gin.config_is_locked()


def test_saved_config_parses_to_the_same(tmp_path):
    configs.parse(["smoke/provide.gin"])
    training.build_settings()
    first = configs.operative()
    (tmp_path / "config.gin").write_text(first)
    configs.restore(tmp_path)
    training.build_settings()
    asked, defaults = configs.split_operative(first)
    again = configs.operative()
    assert "models.PROVIDE.variance = 0.3" in defaults
    assert (
        configs.difference(
            "".join(sorted((asked + defaults).splitlines(True))),
            "".join(
                sorted("".join(configs.split_operative(again)).splitlines(1))
            ),
        )
        == ""
    )


def test_restore_of_another_folder_says_what_is_missing(tmp_path):
    with pytest.raises(configs.ConfigError, match="--workdir"):
        configs.restore(tmp_path)


def test_difference_shows_both_values():
    diff = configs.difference("a = 1\nb = 2\n", "# note\na = 1\nb = 3\n")
    assert "-b = 2" in diff and "+b = 3" in diff and "a = 1" not in diff
    assert configs.difference("a = 1\n", "\na = 1\n") == ""


def test_every_shipped_file_is_listed():
    folder = pathlib.Path(configs.root())
    assert {str(folder / p) for p in configs.available()} == {
        str(p) for p in folder.rglob("*.gin")
    }
