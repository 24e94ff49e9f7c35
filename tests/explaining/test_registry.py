"""Everything that gin sees is named, and has a line of its own."""

import inspect

import gin
import pytest

from tfdecomp.explaining import layout, registry
from tfdecomp.storage import configs

configs.register()
EVERYTHING = registry.everything()


@pytest.mark.parametrize("entry", EVERYTHING, ids=lambda entry: entry.name)
def test_every_parameter_that_gin_sees_has_a_line(entry):
    """Missing ones belong into the docstring's "Args:"."""
    assert entry.summary.endswith("."), f"{entry.name} has no first line"
    for parameter in entry.parameters:
        name = f"{entry.name}.{parameter.name}"
        assert parameter.doc, f"{name} is not in the docstring's Args"
        assert parameter.doc.endswith((".", "`")), name
        words = parameter.doc.split()
        assert len(words) > 1, f"{name}: {parameter.doc} explains nothing"
        said = parameter.doc.startswith("See `")
        assert not said, f"{name}: nothing is said at {parameter.doc}"


def test_what_is_listed_is_what_gin_registered():
    registered = {
        name
        for name, entry in gin.config._REGISTRY.items()
        if entry.wrapped.__module__.startswith("tfdecomp.")
    }
    assert {entry.name for entry in EVERYTHING} >= registered
    assert len(registered) > 60


@pytest.mark.parametrize("entry", EVERYTHING, ids=lambda entry: entry.name)
def test_no_own_argument_is_left_out(entry):
    configurable = gin.config._REGISTRY[entry.name]
    taken = [
        parameter.name
        for parameter in inspect.signature(
            configurable.wrapped
        ).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
        and parameter.name not in (configurable.denylist or ())
    ]
    names = [parameter.name for parameter in entry.parameters]
    assert names[: len(taken)] == taken
    assert len(set(names)) == len(names)


def test_a_default_is_as_gin_writes_it():
    found = {p.name: p.default for p in registry.describe("SILOT").parameters}
    assert found["num_slots"] == "17"
    assert found["attention_hidden"] == "(64, 64)"
    assert found["attention_position"] == "'scene'"
    run = {p.name: p.default for p in registry.describe("run").parameters}
    assert run["model"] == "required" and run["protocol"] == "None"


def test_what_a_base_takes_is_explained_by_the_base():
    found = {
        p.name: p for p in registry.describe("SequentialIODINE").parameters
    }
    assert found["masks_from"].default == "'filtered'"
    assert found["latent_dim"].doc.startswith("Length of a slot's vector")
    assert found["batch_mean_gradients"].doc


def test_what_a_class_gives_its_base_is_not_to_be_set():
    names = [p.name for p in registry.describe("models.PROVIDE").parameters]
    assert "parameterization" not in names and "component" in names
    with pytest.raises(configs.ConfigError, match="no parameter 'parameteriz"):
        with configs.parsed([], ["models.PROVIDE.parameterization = 'x'"]):
            pass


def test_a_reference_is_followed_to_what_is_said_there():
    found = {p.name: p.doc for p in registry.describe("PROVIDE").parameters}
    there = {
        p.name: p.doc for p in registry.describe("ConditionalPrior").parameters
    }
    assert found["prior_scale"] == there["scale"]
    assert found["separate_biases"].endswith("; so in the published code.")


class Base:
    """A base.

    Args:
        size: Of it.
        shape: See `Other.form`; round by default.
    """

    def __init__(self, size, shape=None):
        pass


class Other:
    """Another.

    Args:
        form: A form. Long.
    """


class Child(Base):
    """A child.

    Args:
        age: In years.
        **kwargs: See `Base`.
    """

    def __init__(self, age, **kwargs):
        """Makes one.

        Args:
            name: Said here.
        """


def test_meanings_come_from_the_class_its_constructor_and_its_bases():
    assert registry.meaning(Child, "age") == "In years."
    assert registry.meaning(Child, "name") == "Said here."
    assert registry.meaning(Child, "size") == "Of it."
    assert registry.meaning(Child, "shape") == "A form. Long; round by default."
    assert registry.meaning(Child, "nothing") == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models.SILO", "did you mean models.SILOT"),
        ("silot", "did you mean SILOT"),
        ("nonsense!", "'tfdecomp config --parameters' lists all"),
        ("", "'tfdecomp config --parameters' lists all"),
    ],
)
def test_an_unknown_name_is_one_sentence(name, message):
    with pytest.raises(ValueError, match="there is no configurable") as error:
        registry.describe(name)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_reference_of_a_config_may_be_given():
    entry = registry.describe("@kl/schedules.Piecewise()")
    assert entry.name == "schedules.Piecewise" and entry.section == "schedules"


def test_lists_fit_on_the_page():
    text = layout.parameters(EVERYTHING) + layout.names(EVERYTHING)
    assert max(map(len, text.splitlines())) <= layout.WIDTH == 100
    for entry in EVERYTHING:
        assert f"\n{entry.name}: " in f"\n{text}"
        for parameter in entry.parameters:
            assert f"\n    {parameter.name} " in text
