"""The effective config says what gin would do, and who is to blame."""

import json
import re

import gin
import pytest

from tfdecomp.explaining import effective, layout, machine, origins
from tfdecomp.storage import configs

INCLUDED = """\
RATE = 0.5
training.Adam.learning_rate = %RATE
training.Adam.beta_1 = 0.8
schedules.Piecewise.boundaries = (1, 2)
"""
MAIN = """\
# A config.
include '{included}'

RATE = 0.25
STEPS = 30
training.run.num_steps = %STEPS
training.run.batch_size = (
    2)
training.run.schedules = {{
    'kl_weight': @kl/schedules.Piecewise(),
}}
training.run.clip_lengths = ((0, 1), (%STEPS, 2))
training.Adam:
  beta_1 = 0.7
  beta_2 = 0.6
kl/schedules.Piecewise.values = (1.0, %RATE, 3.0)
layers.LSTMCell.dtype = 'float32'
"""


@pytest.fixture(name="files")
def two_files(tmp_path):
    """A config that includes another."""
    included = tmp_path / "included.gin"
    included.write_text(INCLUDED)
    main = tmp_path / "main.gin"
    main.write_text(MAIN.format(included=included))
    return main, included


def read(*arguments, **options):
    found = effective.of_files(*arguments, **options)
    return found, {
        f"{block.name}.{setting.name}": setting
        for block in found.blocks
        for setting in block.settings
    }


def test_every_value_has_the_line_that_set_it(files):
    main, included = files
    _, settings = read([main], ["STEPS = 40", "training.run.log_every = 3"])
    lines = {
        name: str(setting.set_by)
        for name, setting in settings.items()
        if setting.is_set
    }
    assert lines == {
        "training.run.num_steps": f"{main}:6",
        "training.run.batch_size": f"{main}:7",
        "training.run.schedules": f"{main}:9",
        "training.run.clip_lengths": f"{main}:12",
        "training.run.log_every": "--gin_param",
        "training.Adam.learning_rate": f"{included}:2",
        "training.Adam.beta_1": f"{main}:14",
        "training.Adam.beta_2": f"{main}:15",
        "kl/schedules.Piecewise.boundaries": f"{included}:4",
        "kl/schedules.Piecewise.values": f"{main}:16",
        "schedules.Piecewise.boundaries": f"{included}:4",
        "layers.LSTMCell.dtype": f"{main}:17",
    }


def test_macros_are_written_out_and_named(files):
    main, _ = files
    found, settings = read([main], ["STEPS = 40"])
    assert [(m.name, m.value, str(m.set_by)) for m in found.macros] == [
        ("RATE", "0.25", f"{main}:4"),
        ("STEPS", "40", "--gin_param"),
    ]
    clips = settings["training.run.clip_lengths"]
    assert clips.value == "((0, 1), (40, 2))"
    assert clips.written == "((0, 1), (%STEPS, 2))"
    assert [macro.name for macro in clips.macros] == ["STEPS"]
    assert settings["training.Adam.learning_rate"].value == "0.25"
    assert settings["kl/schedules.Piecewise.values"].value == "(1.0, 0.25, 3.0)"


def test_all_that_is_not_set_stands_with_its_default(files):
    _, settings = read([files[0]])
    assert settings["training.run.clip_norm"].value == "5.0"
    assert not settings["training.run.clip_norm"].is_set
    assert settings["training.run.batch_size"].default == "required"
    assert settings["training.run.model"].value == "required"
    adam = {name for name in settings if name.startswith("training.Adam.")}
    assert len(adam) == 4


def test_sections_come_in_the_order_of_reading(files):
    found, _ = read(["quick/lavae.gin"])
    order = [block.section for block in found.blocks]
    assert list(dict.fromkeys(order)) == [
        "run",
        "model",
        "layers",
        "data",
        "optimizer",
        "schedules",
        "evaluation",
    ]
    assert found.blocks[0].name == "training.run"
    names = [block.name for block in found.blocks]
    assert "location/training.Adamax" in names
    assert len(set(names)) == len(names)


def test_a_scope_sees_what_is_set_without_it(files):
    found, settings = read([files[0]])
    with configs.parsed([files[0]]), gin.config_scope("kl"):
        built = gin.get_configurable("schedules.Piecewise")()
    assert str(tuple(built.values)) == (
        settings["kl/schedules.Piecewise.values"].value
    )
    assert "kl/schedules.Piecewise: " in layout.config(found)


CONFIGS = [
    path
    for path in configs.available()
    if path.split("/")[0]
    not in ("models", "datasets", "optimization", "evaluation")
]


def _line(origin):
    """The line of a file that an origin names."""
    file, _, number = str(origin).rpartition(":")
    path = configs.root() / file.removeprefix("gin/")
    return path.read_text().splitlines()[int(number) - 1]


@pytest.mark.parametrize("path", CONFIGS)
def test_shipped_configs_are_explained_line_by_line(path):
    found, settings = read([path])
    count = sum(setting.is_set for setting in settings.values())
    with configs.parsed([path]):
        bound = [k for k in gin.config._CONFIG if not k[1].startswith("gin.")]
        assert {f"{k[0]}/{k[1]}".strip("/") for k in bound} <= {
            block.name for block in found.blocks
        }
        assert count >= sum(len(gin.config._CONFIG[key]) for key in bound)
    for name, setting in settings.items():
        if setting.is_set:
            short = re.escape(name.rpartition(".")[2])
            assert re.search(rf"\b{short} *=", _line(setting.set_by)), name
            assert setting.doc and "%" not in setting.value
        for macro in setting.macros:
            assert _line(macro.set_by).startswith(f"{macro.name} = ")
    text = layout.config(found)
    assert max(map(len, text.splitlines())) <= 100
    assert len(layout.config(found, only_set=True)) < len(text)


def test_json_says_the_same(files):
    found, settings = read([files[0]], ["STEPS = 40"])
    content = json.loads(machine.config(found))
    assert content["params"] == ["STEPS = 40"]
    entries = {
        f"{block['name']}.{entry['name']}": entry
        for block in content["configurables"]
        for entry in block["parameters"]
    }
    assert list(entries) == list(settings)
    steps = entries["training.run.num_steps"]
    assert steps == {
        "name": "num_steps",
        "value": "40",
        "default": "required",
        "doc": "Optimizer steps of the whole run.",
        "is_set": True,
        "written": "%STEPS",
        "set_by": f"{files[0]}:6",
        "macros": [{"name": "STEPS", "value": "40", "set_by": "--gin_param"}],
    }
    assert "set_by" not in entries["training.run.clip_norm"]
    brief = json.loads(machine.config(found, only_set=True))
    assert all(
        entry["is_set"]
        for block in brief["configurables"]
        for entry in block["parameters"]
    )


def test_the_config_that_was_active_stays(files):
    with configs.parsed([], ["training.Adam.beta_1 = 0.1"]):
        read([files[0]])
        assert gin.query_parameter("training.Adam.beta_1") == 0.1


def test_a_folder_is_read_as_data(tmp_path):
    (tmp_path / "config.gin").write_text("training.Adam.beta_1 = 0.1\n")
    found = effective.of_folder(tmp_path, ["training.Adam.beta_2 = 0.2"])
    (adam,) = (b for b in found.blocks if b.name == "training.Adam")
    by = {s.name: str(s.set_by) for s in adam.settings if s.is_set}
    assert by["beta_2"] == "--gin_param"
    assert by["beta_1"].endswith("config.gin:1")
    (tmp_path / "config.gin").write_text("import os\n")
    with pytest.raises(configs.ConfigError, match="may import nothing"):
        effective.of_folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models.SILOT.num_slot = 3", "did you mean num_slots"),
        ("models.SILO.num_slots = 3", "did you mean models.SILOT"),
        ("training.run.num_steps = %NONE", "uses %NONE, which nothing sets"),
        ("training.run.num_steps = @no.such()", "names 'no.such'"),
        ("A = %B\nB = %A", "in a circle"),
        (
            "A0 = 'aaaaaaaa'\n"
            + "\n".join(f"A{i} = (%A{i - 1}, %A{i - 1})" for i in range(1, 60)),
            "once it is written out",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(text, message, tmp_path):
    path = tmp_path / "wrong.gin"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        effective.of_files([path])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["import tfdecomp_no_such", "x = 1"])
def test_nothing_is_imported_for_who_only_looks(text, tmp_path):
    (tmp_path / "code.gin").write_text(f"{text}\n")
    if text.startswith("import"):
        with pytest.raises(configs.ConfigError, match="add --trust_config"):
            origins.read([tmp_path / "code.gin"])
    found = origins.read([tmp_path / "code.gin"], trusted=True)
    assert len(found) == (text == "x = 1")
