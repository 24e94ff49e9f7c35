"""Which seeds learned is counted by the rule of the data."""

import json
import statistics

import pytest

from tfdecomp.evaluation import settings

CONFIG = "gin/quick/a.gin"


def setting(**changes):
    bars = [
        settings.Bar("f_ari", at_least=0.8),
        settings.Bar("mse", at_most=0.1),
    ]
    fields = {
        "config": CONFIG,
        "title": "A",
        "protocol": "default",
        "score": "f_ari",
        "learned": tuple(bars),
    }
    return settings.Setting(**{**fields, **changes})


def line(seed, f_ari, mse=0.01, **changes):
    return {
        "config": CONFIG,
        "seed": seed,
        "protocol": {"name": "default"},
        "scores": {"f_ari": f_ari, "mse": mse},
        "minutes": 10 + seed,
        **changes,
    }


def test_all_bars_have_to_be_met():
    learned = setting().has_learned
    assert learned(line(0, 0.8, 0.1))
    assert not learned(line(0, 0.79))
    assert not learned(line(0, 0.9, 0.2))
    assert not learned({"scores": {"f_ari": 0.9}})


def test_mean_deviation_and_success_are_of_all_seeds():
    values = [0.9, 0.95, 0.2]
    found = settings.summary(
        setting(), [line(i, v) for i, v in enumerate(values)]
    )
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.deviation == pytest.approx(statistics.stdev(values))
    assert (found.learned, len(found.lines)) == (2, 3)
    assert found.minutes == (10, 11, 12)


def test_a_run_that_was_given_up_is_no_success_and_in_no_mean():
    lines = [
        line(0, 0.9, split="validation"),
        line(0, 0.95),
        line(1, 0.5, split="validation", minutes=None),
    ]
    found = settings.summary(setting(), lines)
    assert found.values == (0.95,)
    assert found.deviation is None
    assert (found.learned, len(found.lines)) == (1, 2)
    assert found.minutes == (10,)


def test_other_runs_do_not_count():
    lines = [
        line(0, 0.9),
        line(1, 0.1, config="gin/quick/b.gin"),
        line(2, 0.1, params=["NUM_SLOTS = 3"]),
        line(3, 0.1, protocol={"name": "refined"}),
        line(4, 0.1, protocol={"name": "default", "fresh_seed": 7}),
    ]
    assert settings.summary(setting(), lines).values == (0.9,)


def test_a_setting_may_allow_bindings():
    names = ("training.run.initial_model",)
    begun = [f"{names[0]} = '~/runs/a'"]
    lines = [
        line(0, 0.9, params=begun),
        line(1, 0.1, params=[*begun, "NUM_SLOTS = 3"]),
    ]
    assert settings.summary(setting(params=names), lines).values == (0.9,)
    assert settings.summary(setting(), lines).values == ()


def test_the_paper_s_figure_is_looked_up():
    where = {"table": "table1", "data": "BB colour", "model": "PROVIDE"}
    found = setting(published={**where, "column": 20})
    assert found.published_value() == 1.0
    assert setting().published_value() is None
    wrong = setting(published={**where, "data": "no such set", "column": 20})
    with pytest.raises(settings.SettingsError, match="no such set"):
        wrong.published_value()


def test_a_misspelt_field_is_named(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({CONFIG: {"titel": "A", "learned": []}}))
    with pytest.raises(settings.SettingsError, match="titel"):
        settings.read(path)
