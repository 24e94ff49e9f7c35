"""What a run of each setting should reach, and how many seeds do.

The rule is data: `results/settings.json` maps a config to its score and to the
bars that tell a run which learned from one that did not.
"""

import dataclasses
import json
import pathlib
import statistics

from tfdecomp.evaluation import published, runs
from tfdecomp.evaluation.protocol import Protocol

NAME = "settings.json"


class SettingsError(ValueError):
    """A file of settings that cannot be used; says what is wrong."""


@dataclasses.dataclass(frozen=True)
class Bar:
    """A limit of a score.

    Args:
        score: Name of the score.
        at_least: Smallest value that is good enough.
        at_most: Largest value that is good enough.
    """

    score: str
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, scores) -> bool:
        """Whether scores have this one, within the limits."""
        value = scores.get(self.score)
        if value is None:
            return False
        low, high = self.at_least, self.at_most
        return (low is None or value >= low) and (high is None or value <= high)

    def __str__(self):
        parts = [] if self.at_least is None else [f"≥ {self.at_least:g}"]
        parts += [] if self.at_most is None else [f"≤ {self.at_most:g}"]
        return f"{self.score} {', '.join(parts)}"


@dataclasses.dataclass(frozen=True)
class Setting:
    """A config whose runs are counted.

    Args:
        config: Its path, as the lines of runs have it.
        title: What to call it in tables.
        protocol: Name of the protocol that it is judged by.
        score: Name of the score that stands for it.
        learned: `Bar`s that a run which learned has all met.
        digits: Digits of the score as it is printed.
        published: The paper's figure: `table`, `data`, `model` and `column` of
            `evaluation.published`; None where there is none to set beside it.
        params: Names that `--gin_param` may set in a run that still counts,
            such as "training.run.initial_model".
        levels: What else tells good scores from bad ones: name to value.
        facts: What a table may say of the config: name to text.
    """

    config: str
    title: str
    protocol: str
    score: str
    learned: tuple
    digits: int = 3
    published: dict | None = None
    params: tuple = ()
    levels: dict = dataclasses.field(default_factory=dict)
    facts: dict = dataclasses.field(default_factory=dict)

    def has_learned(self, line) -> bool:
        """Whether a run met all bars."""
        return all(bar.is_met(line["scores"]) for bar in self.learned)

    def is_of(self, line) -> bool:
        """Whether a run is of this setting: its config, and no more."""
        names = {p.partition("=")[0].strip() for p in line.get("params", ())}
        return line["config"] == self.config and names <= {*self.params}

    def published_value(self):
        """The paper's number or text; None if there is none."""
        if self.published is None:
            return None
        where = self.published
        table = published.TABLES[where["table"]]
        for row in table.rows:
            if (row.data, row.model) == (where["data"], where["model"]):
                values = dict(zip(table.columns, row.scores[self.score]))
                return values[where["column"]]
        raise SettingsError(
            f"{NAME}: {self.config} is set beside {where}, which is not in "
            "tfdecomp.evaluation.published"
        )


@dataclasses.dataclass(frozen=True)
class Summary:
    """The seeds of a setting together.

    Args:
        setting: The `Setting`.
        lines: A line for each seed; see `judged`.
        values: The score of the seeds scored on the protocol's split, those
            that did not learn among them.
        learned: How many seeds met the bars.
        minutes: What those cost of which it is known.
    """

    setting: Setting
    lines: tuple
    values: tuple
    learned: int
    minutes: tuple

    @property
    def mean(self):
        return statistics.fmean(self.values) if self.values else None

    @property
    def deviation(self):
        """Standard deviation of the sample; None for less than two seeds."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


def read(path=None) -> dict[str, Setting]:
    """The settings by their configs.

    Args:
        path: The file; by default that of the checkout.

    Raises:
        SettingsError: If it is not as described above.
    """
    path = runs.root() / NAME if path is None else pathlib.Path(path)
    found = {}
    for config, fields in json.loads(path.read_text(encoding="utf-8")).items():
        try:
            bars = tuple(Bar(**bar) for bar in fields.pop("learned"))
            found[config] = Setting(config=config, learned=bars, **fields)
        except (TypeError, KeyError) as error:
            raise SettingsError(
                f"{path}: {config} is not described as a setting is "
                f"({error}); it has {_fields()}"
            ) from error
    return found


def judged(setting, lines) -> list[dict]:
    """The line of each seed by which a setting is judged.

    That of the protocol's split, on stored clips; of a seed that has none,
    such as a run which was given up, one of another split.

    Args:
        setting: The `Setting`.
        lines: Lines of runs; those of other settings are left out.
    """
    chosen = {}
    for line in lines:
        if (
            not setting.is_of(line)
            or line["protocol"]["name"] != setting.protocol
            or runs.is_fresh(line)
        ):
            continue
        known = chosen.get(line["seed"])
        if known is None or is_on_test(line) or not is_on_test(known):
            chosen[line["seed"]] = line
    return [chosen[seed] for seed in sorted(chosen, key=str)]


def summary(setting, lines) -> Summary:
    """Mean, deviation and success over the seeds of a setting.

    Args:
        setting: The `Setting`.
        lines: Lines of runs; those of other settings are left out.
    """
    chosen = judged(setting, lines)
    values = (line["scores"].get(setting.score) for line in chosen)
    kept = [
        value
        for value, line in zip(values, chosen)
        if value is not None and is_on_test(line)
    ]
    minutes = [line["minutes"] for line in chosen if line["minutes"]]
    return Summary(
        setting=setting,
        lines=tuple(chosen),
        values=tuple(kept),
        learned=sum(map(setting.has_learned, chosen)),
        minutes=tuple(minutes),
    )


def is_on_test(line) -> bool:
    """Whether a line's clips are of test splits."""
    return line.get("split", Protocol.split).startswith("test")


def _fields():
    return ", ".join(f.name for f in dataclasses.fields(Setting))
