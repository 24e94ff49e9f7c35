"""Results on disk are whole or as before."""

import concurrent.futures
import json

import pytest

from tfdecomp.evaluation import results


def _result(value):
    return {"model": "m", "protocol": {"name": "default"}, "f_ari": value}


def test_results_are_appended_in_order(tmp_path):
    for value in (0.1, 0.2, 0.3):
        results.append(tmp_path, _result(value))
    assert [r["f_ari"] for r in results.read(tmp_path)] == [0.1, 0.2, 0.3]
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda v: results.append(tmp_path, _result(v)), range(40))
        )
    found = sorted(r["f_ari"] for r in results.read(tmp_path))
    assert found == list(range(40))


def test_one_result_is_one_json_object(tmp_path):
    path = results.write(tmp_path / "new" / "e.json", _result(0.5))
    assert json.loads(path.read_text())["f_ari"] == 0.5
    assert results.read(path) == [_result(0.5)]


@pytest.mark.parametrize("content", ["{not json", "[1, 2]", '{"a": 1}'])
def test_a_strange_file_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(results.ResultsError, match="move it out of the way"):
        results.append(tmp_path, _result(0.5))
    assert path.read_text() == content


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    results.append(tmp_path, _result(0.5))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        results.append(tmp_path, _result(0.6))
    assert [r["f_ari"] for r in results.read(tmp_path)] == [0.5]
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_values_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(ValueError):
        results.append(tmp_path, _result(float("nan")))
    assert not (tmp_path / "results.json").exists()


def test_missing_results_say_how_to_get_them(tmp_path):
    with pytest.raises(results.ResultsError, match="tfdecomp.evaluate"):
        results.read(tmp_path)


def test_a_folder_is_no_output_file(tmp_path):
    with pytest.raises(results.ResultsError, match="is a folder"):
        results.write(tmp_path, _result(0.5))
