"""Texts and data agree: tables between marks, and figures of headers."""

import fnmatch
import json
import pathlib
import re

import pytest

from tfdecomp.evaluation import generated, published, runs, settings
from tfdecomp.storage import configs

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = generated.files()
LINES = runs.read()


def measured(path):
    return path.split("/")[0] in ("quick", "compact")


RUNNABLE = [
    path
    for path in configs.available()
    if path.split("/")[0]
    not in ("models", "datasets", "optimization", "evaluation", "smoke")
]


@pytest.fixture(scope="module")
def made():
    return generated.Tables()


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_tables_of_texts_are_what_the_data_say(path, made):
    text = path.read_text()
    assert made.fill(text) == text, (
        f"{path.name} differs from results/; run 'python -m tfdecomp.tables "
        "--update', or change the data"
    )


def test_every_table_can_be_made(made):
    for name in made.layouts:
        rows = made.make(name).strip().splitlines()
        rows = [row for row in rows if row.startswith("|")]
        assert len(rows) > 2, name
        assert len({row.count(" | ") for row in rows}) == 1, name


def test_no_score_in_readme_stands_in_a_table_of_its_own():
    text = re.sub(
        r"<!-- table: .*?<!-- end -->",
        "",
        (ROOT / "README.md").read_text(),
        flags=re.S,
    )
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert not [row for row in rows if re.search(r"\| \**-?\d*\.\d+", row)]


def test_runs_are_of_configs_and_weights_that_are_there():
    for line in LINES:
        if line["config"]:
            assert (ROOT / line["config"]).is_file(), line["config"]
        if "weights" in line:
            folder = ROOT / "tfdecomp" / "weights" / line["weights"]
            assert folder.is_dir(), line["weights"]


def test_no_run_has_two_lines():
    found = [runs.identity(line) for line in LINES]
    assert len(found) == len(set(found))


def test_scores_are_those_of_the_cards_of_shipped_weights():
    compared = 0
    for line in LINES:
        if "weights" not in line or "fresh_seed" in line["protocol"]:
            continue
        folder = ROOT / "tfdecomp" / "weights" / line["weights"]
        card = json.loads((folder / "info.json").read_text())
        protocol, score = card.get("protocol") or {}, card.get("score") or {}
        if protocol.get("name") != line["protocol"]["name"]:
            continue
        for name in {*score} & {*line["scores"]}:
            # Texts may have been rounded to three digits.
            assert line["scores"][name] == pytest.approx(score[name], abs=6e-4)
            compared += 1
    assert compared > 50


def test_every_setting_has_a_file_and_the_paper_s_figure():
    for config, setting in settings.read().items():
        assert (ROOT / config).is_file()
        assert setting.learned
        if setting.published:
            assert setting.published_value() is not None


def test_every_quick_config_with_runs_has_a_setting():
    known = settings.read()
    found = {line["config"] for line in LINES if line["config"]}
    assert found <= set(known), "say what its runs should reach: settings.json"


def expected(path):
    """The paragraph of a header that says what to expect."""
    header = (configs.root() / path).read_text().split("\n\n")[0]
    found = re.search(r"^# Expected: (.*?)(?=^#$|\Z)", header, re.M | re.S)
    return " ".join(found[1].replace("\n#", "\n").split())


def scores(path, text):
    """Scores of the runs of a config, and of those that its text names."""
    named = {f"gin/{path}", *re.findall(r"gin/[\w/]+\.gin", text)}
    for line in LINES:
        if line["config"] in named:
            for condition in runs.conditions(line):
                yield from condition["scores"].values()
    for config, setting in settings.read().items():
        if config in named:
            yield from setting.levels.values()


PAPERS = {
    "*ocrb*": ("ocrb",),
    "*provide*": ("table1", "table2", "table3"),
    "*seq_iodine*": ("table1",),
    "*iodine64*": ("table1",),
    "*iodine*": ("iodine",),
    "*lavae*": ("lavae",),
    "*dvip*": ("dvip",),
}


def published_scores(path):
    """Numbers of the tables of the paper that a config is of."""
    names = [n for p, n in PAPERS.items() if fnmatch.fnmatch(path, p)]
    for name in names[0] if names else ():
        for row in published.TABLES[name].rows:
            for value in (v for own in row.scores.values() for v in own):
                texts = re.findall(r"-?\d+(?:\.\d+)?", str(value))
                yield from map(float, texts[:1])


def is_known(figure, values):
    """Whether a number as it is printed is a value, or its percentage."""
    unit = 10.0 ** -len(figure.partition(".")[2])
    return any(
        abs(float(figure) - scale * value) <= 0.5 * unit + 1e-9
        for value in values
        for scale in (1, 100, 0.01)
    )


@pytest.mark.parametrize("path", RUNNABLE)
def test_scores_in_a_header_are_in_the_data(path):
    text = expected(path)
    values = list(scores(path, text))
    if not path.startswith("quick"):
        values += published_scores(path)
    figures = re.findall(r"(?<![\w./-])-?\d*\.\d+|(?<![\w./])-\d+", text)
    wrong = [figure for figure in figures if not is_known(figure, values)]
    assert not wrong, (
        f"{wrong} are in no line of results/ of gin/{path}, nor published; "
        "record the run: python -m tfdecomp.evaluate --record=results/..."
    )


@pytest.mark.parametrize("path", filter(measured, RUNNABLE))
def test_minutes_and_clips_in_a_header_are_in_the_data(path):
    text = expected(path)
    named = {f"gin/{path}", *re.findall(r"gin/[\w/]+\.gin", text)}
    lines = [line for line in LINES if line["config"] in named]
    minutes = [line["minutes"] for line in lines if line["minutes"]]
    for pair in re.findall(r"(\d+)(?: to (\d+))? minutes", text):
        for figure in filter(None, pair):
            assert any(round(m) == int(figure) for m in minutes), figure
    clips = {
        condition.get("num_clips")
        for line in lines
        for condition in runs.conditions(line)
    }
    pattern = r"([\d,]+) (?:test )?(?:clips|pictures)"
    for figure in re.findall(pattern, text):
        assert int(figure.replace(",", "")) in clips, figure


FOLDER = {
    "a.jsonl": [
        {
            "config": "gin/quick/provide.gin",
            "seed": seed,
            "commit": None,
            "data": "balls",
            "split": "test",
            "protocol": {"name": "default"},
            "scores": {"f_ari": f_ari, "count": 7},
            "minutes": 20,
            "restarts": seed,
            "machine": None,
            "note": "at night",
        }
        for seed, f_ari in ((0, 0.95), (1, 0.5))
    ],
    "settings.json": {
        "gin/quick/provide.gin": {
            "title": "A",
            "protocol": "default",
            "score": "f_ari",
            "learned": [{"score": "f_ari", "at_least": 0.9}],
        }
    },
    "tables.json": {
        "one": {
            "kind": "runs",
            "rows": [{"config": "gin/quick/provide.gin"}],
            "columns": [
                {"title": "seed", "label": "seed"},
                {"title": "F-ARI", "score": "f_ari", "bold": True},
                {"title": "count", "score": "count"},
                {"title": "training", "label": "training"},
            ],
        },
        "fast": {
            "kind": "csv",
            "file": "s.csv",
            "where": {"model": "a*"},
            "columns": {"who": "model", "frames/s": "fps"},
        },
    },
}


@pytest.fixture
def folder(tmp_path):
    for name, content in FOLDER.items():
        lines = content if isinstance(content, list) else [content]
        text = "".join(json.dumps(entry) + "\n" for entry in lines)
        (tmp_path / name).write_text(text)
    (tmp_path / "s.csv").write_text("model,fps\na1,3\nb,4\n")
    return tmp_path


def test_a_row_shows_what_the_line_says(folder):
    rows = generated.Tables(folder).make("one").splitlines()
    assert rows[0] == "| seed | F-ARI | count | training |"
    assert rows[2] == "| 0 | **.950** | 7 | 20 min, at night |"
    assert rows[3] == "| 1 | .500 | 7 | 20 min, 1 restart, at night |"


def test_rows_of_csv_are_chosen_by_pattern(folder):
    rows = generated.Tables(folder).make("fast").splitlines()
    assert [row for row in rows if "---" not in row] == [
        "| who | frames/s |",
        "| a1 | 3 |",
    ]


def test_only_what_is_between_the_marks_changes(folder, tmp_path):
    text = tmp_path / "text.md"
    text.write_text(
        "before\n<!-- table: fast -->\nold\n<!-- end -->\nbetween\n"
        "```\n<!-- table: shown -->\n```\n<!-- table: fast --><!-- end -->"
        "\nafter\n"
    )
    assert generated.update([text], folder) == [text]
    made = generated.Tables(folder).make("fast")
    block = f"<!-- table: fast -->\n\n{made}\n<!-- end -->"
    assert text.read_text() == (
        f"before\n{block}\nbetween\n```\n<!-- table: shown -->\n```\n{block}"
        "\nafter\n"
    )
    assert generated.update([text], folder) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table: none --><!-- end -->", "no table 'none'.* fast, one"),
        ("<!-- table: fast -->", "no '<!-- end -->'"),
    ],
)
def test_a_wrong_mark_is_named_and_no_file_is_changed(
    text, message, folder, tmp_path
):
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text("<!-- table: fast --><!-- end -->")
    bad.write_text(text)
    with pytest.raises(generated.GeneratedError, match=message) as error:
        generated.update([good, bad], folder)
    assert "bad.md" in str(error.value)
    assert good.read_text() == "<!-- table: fast --><!-- end -->"


def test_digits_that_nobody_measured_are_not_printed():
    assert generated.number(0.79, 3, known=2) == ".79"
    assert generated.number(0.0102, 4, known=2) == ".0102"
    assert generated.number(0.79, 3) == ".790"
    assert generated.number(-0.25, 2) == "-.25"
    assert generated.number(-742.04, 1) == "-742.0"
    assert generated.number(None, 3) == "–"
    assert generated.number(1000, 3) == "1,000"
