"""Damaged videos and pictures end in a sentence, or in all of their frames."""

import pytest

from tests.fuzz import damaged_inputs

QUICK, WHOLE = 84, 10_000  # files
MOST_MEMORY = 700  # MB of a process that looks at them


def check(lines, count):
    found = damaged_inputs.table(lines)
    for name, tally in sorted(found.items()):
        print(name, dict(tally))
    fine = {"refused", "said", "same", "changed"}
    faults = [line for line in lines if line["outcome"] not in fine]
    assert not faults
    assert [line["number"] for line in lines] == list(range(count))
    assert max(line["seconds"] for line in lines) < damaged_inputs.LONGEST
    assert max(line["memory"] for line in lines) < MOST_MEMORY
    unseen = {name: found[name]["changed"] for name in damaged_inputs.CHECKED}
    assert not any(unseen.values()), unseen


def test_damage_is_said_or_does_not_show(tmp_path):
    stored = tmp_path / "originals"
    stored.mkdir()
    made = damaged_inputs.originals(stored)
    lines = list(damaged_inputs.trial(made, range(QUICK), tmp_path))
    for line in lines:  # of the process of all tests
        line["memory"] = 0
    check(lines, QUICK)


@pytest.mark.slow
def test_damage_of_thousands_is_said_or_does_not_show(tmp_path):
    lines = damaged_inputs.campaign(tmp_path / "results.jsonl", WHOLE)
    check(lines, WHOLE)


@pytest.mark.slow
def test_a_process_that_dies_costs_one_file(tmp_path):
    results = tmp_path / "results.jsonl"
    damaged_inputs.campaign(results, 3)
    (results.with_suffix(".originals") / "a.gif").write_bytes(b"GIF8")
    lines = damaged_inputs.campaign(results, 5)
    assert [line["number"] for line in lines] == list(range(5))
    assert all("crash" in line["outcome"] for line in lines[3:])
