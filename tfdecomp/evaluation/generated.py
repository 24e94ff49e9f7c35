"""Tables of texts that are made from `results/`, between two marks.

    <!-- table: provide -->
    ...
    <!-- end -->

`results/tables.json` maps a table's name to its rows and columns. What stands
between the marks is replaced by `update`; a test fails where it is not what
the data say.
"""

import csv
import fnmatch
import json
import pathlib
import re

from tfdecomp.evaluation import by_objects, results, runs, tables
from tfdecomp.evaluation import settings as settings_lib

NAME = "tables.json"
_END = "<!-- end -->"
# A block of code, which is shown and not meant, or a table.
_PART = re.compile(
    rf"```.*?```|(<!-- table: ([\w.-]+) -->)(.*?{_END})?", re.DOTALL
)
_SCORES = {
    **tables.OTHER_SCORES,
    "id_switches": "switches",
    "numbers": "numbers in every frame",
    "on_nothing": "numbers on nothing",
    "meetings": "meetings",
    "changed": "decided by looks against motion",
    "unsure": "in doubt",
    "explained": "explained of what moves",
    "filled_in": "places filled in",
    "told_apart": "told apart inside of blobs",
}


class GeneratedError(ValueError):
    """A text or a table that cannot be made; says what to do."""


class Tables:
    """Makes tables by name.

    Args:
        folder: With `*.jsonl`, `settings.json`, `tables.json` and the files
            of csv; by default that of the checkout.
    """

    def __init__(self, folder=None):
        self.folder = runs.root() if folder is None else pathlib.Path(folder)
        self.lines = runs.read(self.folder)
        self.settings = settings_lib.read(self.folder / settings_lib.NAME)
        text = (self.folder / NAME).read_text(encoding="utf-8")
        self.layouts = json.loads(text)

    def make(self, name) -> str:
        """A table as Markdown.

        Args:
            name: One of `tables.json`.

        Raises:
            GeneratedError: If there is no such table, or its data are not
                there.
        """
        if name not in self.layouts:
            raise GeneratedError(
                f"there is no table {name!r}; {self.folder / NAME} has "
                f"{', '.join(sorted(self.layouts))}"
            )
        layout = self.layouts[name]
        kinds = {
            "runs": self._of_runs,
            "settings": self._of_settings,
            "configs": self._of_configs,
            "csv": self._of_csv,
            "published": self._of_paper,
            "by_objects": self._by_objects,
        }
        return kinds[layout["kind"]](layout)

    def fill(self, text) -> str:
        """A text with all its marked tables made anew.

        Raises:
            GeneratedError: If a mark has no end, or names no table.
        """
        return _PART.sub(self._part, text)

    def _part(self, found):
        mark, name, old = found.groups()
        if mark is None:
            return found[0]
        if old is None:
            raise GeneratedError(
                f"the table {name!r} has a first mark, but no {_END!r}"
            )
        return f"{mark}\n\n{self.make(name)}\n{_END}"

    def _of_runs(self, layout):
        columns = layout["columns"]
        lines = [
            [self._cell(column, row, line) for column in columns]
            for row in layout["rows"]
            for line in self._members(row, layout.get("protocol"))
        ]
        if not lines:
            raise GeneratedError(
                f"no run is of {layout['rows']}; record one, see "
                f"{self.folder / 'README.md'}"
            )
        return tables.render([c["title"] for c in columns], lines)

    def _members(self, row, protocol):
        """Lines of a row's runs, one for each seed, in order of the files."""
        chosen = {}
        for line in self.lines:
            if not self._is_of(row, line) or runs.is_fresh(line):
                continue
            if protocol in (None, line["protocol"]["name"]):
                key = line["config"] or line["command"], line["seed"]
                known = chosen.get(key)
                # Of two splits the one to test on is shown.
                if known is None or settings_lib.is_on_test(line):
                    chosen[key] = line
        return chosen.values()

    def _is_of(self, row, line):
        """Whether a line is one of a row's: all its names match."""
        setting = self.settings.get(line["config"])
        if not setting.is_of(line) if setting else line.get("params"):
            return False
        names = ("config", "seed", "weights", "data", "model", "command")
        return all(
            fnmatch.fnmatchcase(str(line.get(name)), str(row[name]))
            for name in names
            if name in row
        )

    def _cell(self, column, row, line):
        if "label" in column:
            return _label(column["label"], row, line)
        setting = self.settings.get(line["config"])
        if "fact" in column:
            return setting.facts[column["fact"]] if setting else ""
        line = self._scored(column, line)
        if line is None:
            return ""
        where = column.get("where")
        places = where if isinstance(where, list) else [where]
        values = [_score(line, column["score"], place) for place in places]
        if all(value is None for value in values):
            return ""
        digits, known = column.get("digits", 3), line.get("digits")
        texts = [number(value, digits, known) for value in values]
        text = " / ".join(texts)
        if column.get("bold") and setting and setting.has_learned(line):
            text = f"**{text}**"
        is_test = settings_lib.is_on_test(line)
        return text if is_test else f"{text}, {line['split']}"

    def _scored(self, column, line):
        """The line of the same run with a column's protocol, if any."""
        name = column.get("protocol")
        if name is None:
            return line
        for other in self.lines:
            if other["protocol"]["name"] == name and all(
                other.get(key) == line.get(key)
                for key in ("config", "params", "seed")
            ):
                return other
        return None

    def _of_settings(self, layout):
        del layout
        head = ["setting", "score", "mean ± deviation", "learned"]
        head += ["which is", "minutes", "the paper, at its size"]
        lines = []
        for config, setting in self.settings.items():
            found = settings_lib.summary(setting, self.lines)
            if found.lines:
                lines.append([f"{setting.title} (`{config}`)"] + _cells(found))
        return tables.render(head, lines)

    def _of_configs(self, layout):
        """A row for each config, its seeds side by side."""
        lines = []
        for row in layout["rows"]:
            setting = self.settings[row["config"]]
            found = settings_lib.summary(setting, self.lines)
            title = _SCORES.get(setting.score, setting.score)
            usual = {"title": title, "score": setting.score}
            columns = row.get("scores", [usual | {"digits": setting.digits}])
            name = pathlib.PurePosixPath(row["config"]).stem
            lines.append(
                [
                    f"`{row['config']}`",
                    f"`python -m tfdecomp.train --gin_file={row['config']} "
                    f"--workdir=runs/{name}`",
                    _span(found.minutes),
                    "; ".join(_side_by_side(c, found.lines) for c in columns),
                    ", ".join(str(line["seed"]) for line in found.lines),
                    f"{found.learned} of {len(found.lines)}",
                ]
            )
        head = ["config", "command", "minutes", "scores of the seeds"]
        return tables.render([*head, "seeds", "learned"], lines)

    def _of_csv(self, layout):
        columns = layout["columns"]
        rows = [
            row
            for row in read_csv(self.folder / layout["file"])
            if all(
                fnmatch.fnmatchcase(row[name], pattern)
                for name, pattern in layout.get("where", {}).items()
            )
        ]
        lines = [[row[name] for name in columns.values()] for row in rows]
        return tables.render(list(columns), lines)

    def _of_paper(self, layout):
        name = layout["table"]
        return tables.published_markdown(name, self._results(name))

    def _by_objects(self, layout):
        name = layout["table"]
        return by_objects.published_markdown(name, self._results(name))

    def _results(self, protocol):
        """Our runs of a protocol, as tables beside papers read them."""
        return [
            runs.as_result(line)
            for line in self.lines
            if line["protocol"]["name"] == protocol and not runs.is_fresh(line)
        ]


def files() -> list[pathlib.Path]:
    """Texts of the checkout that may have tables: README and `docs/`."""
    top = runs.root().parent
    return [top / "README.md", *sorted((top / "docs").rglob("*.md"))]


def update(paths=None, folder=None) -> list[pathlib.Path]:
    """Makes the tables of texts anew; returns those that changed.

    Args:
        paths: The files; by default `files()`.
        folder: See `Tables`.

    Raises:
        GeneratedError: If a file has an unknown table. Then none is changed.
    """
    changed = [part for part in _filled(paths, folder) if part[1] != part[2]]
    for path, _, new in changed:
        results.write_text(path, new)
    return [path for path, _, _ in changed]


def read_csv(path) -> list[dict]:
    """Rows of a file of measurements, all values as texts."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(value, digits, known=None) -> str:
    """A score as tables print it: `.938`, `-742.0`, `39.6`.

    Args:
        value: The score; None gives "–".
        digits: Digits after the point.
        known: How many there are where the source rounded, by default all;
            zeros that nobody measured are not printed.
    """
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if known is not None:
        given = len(repr(value).partition(".")[2])
        digits = min(digits, max(known, given))
    return _without_zero(f"{value:.{digits}f}")


def _without_zero(text):
    return re.sub(r"^(-?)0\.", r"\1.", text)


def _filled(paths, folder):
    made = Tables(folder)
    paths = files() if paths is None else map(pathlib.Path, paths)
    found = []
    for path in paths:
        old = path.read_text(encoding="utf-8")
        try:
            found.append((path, old, made.fill(old)))
        except GeneratedError as error:
            raise GeneratedError(f"{path}: {error}") from error
    return found


def _score(line, name, where):
    if where is None:
        return line["scores"].get(name)
    for condition in runs.conditions(line):
        if all(condition.get(key) == value for key, value in where.items()):
            return condition["scores"].get(name)
    return None


def _label(kind, row, line):
    weights, seed = line.get("weights"), line["seed"]
    ships = f" (ships as `{weights}`)" if weights else ""
    remark = f" ({row['remark']})" if "remark" in row else ""
    if kind == "seed":
        return f"{seed}{ships}"
    if kind == "name":
        return row["title"] + (f", seed {seed}" * (seed is not None)) + ships
    if kind == "weights":
        return f"`{weights}`{remark}"
    if kind == "command":
        command = line["command"].removeprefix("python -m tfdecomp.")
        return f"`{command}`"
    if kind == "scores":
        return ", ".join(
            f"{_SCORES.get(name, name)} {number(value, 3, line.get('digits'))}"
            for name, value in line["scores"].items()
        )
    if kind == "training":
        return training(line)
    return str(line[kind])


def training(line) -> str:
    """What a run took, such as `"38 min, beside other work"`."""
    minutes, restarts = line["minutes"], line["restarts"]
    parts = [] if minutes is None else [f"{minutes:g} min"]
    parts += [f"{restarts} restart{'s' * (restarts > 1)}"] if restarts else []
    parts += [line["note"]] if line.get("note") else []
    return ", ".join(parts)


def _cells(found):
    """A setting's cells after its name."""
    setting = found.setting
    mean = number(found.mean, setting.digits)
    if found.deviation is not None:
        mean += f" ± {number(found.deviation, setting.digits)}"
    if len(found.values) != len(found.lines):
        mean += f" of {len(found.values)}"
    rule = ", ".join(map(_bar, setting.learned))
    value = setting.published_value()
    is_text = isinstance(value, str)
    paper = _without_zero(value) if is_text else number(value, setting.digits)
    return [
        _SCORES.get(setting.score, setting.score),
        mean,
        f"{found.learned} of {len(found.lines)}",
        rule,
        _span(found.minutes),
        paper if value is not None else "",
    ]


def _span(minutes):
    """From the shortest to the longest, such as `"10 to 13"`."""
    ends = [f"{value:.0f}" for value in sorted(minutes)]
    return " to ".join(dict.fromkeys([*ends[:1], *ends[-1:]]))


def _side_by_side(column, lines):
    """A score of several seeds, such as `"F-ARI .938, .906, .150"`."""
    shown = []
    for line in lines:
        value = _score(line, column["score"], column.get("where"))
        digits, known = column.get("digits", 3), line.get("digits")
        text = number(value, digits, known)
        is_test = settings_lib.is_on_test(line)
        shown.append(text if is_test else f"{text} ({line['split']})")
    return f"{column['title']} {', '.join(shown)}"


def _bar(bar):
    title = _SCORES.get(bar.score, bar.score).removesuffix(" ≤ (nats)")
    return str(bar).replace(bar.score, title, 1).replace(" 0.", " .")
