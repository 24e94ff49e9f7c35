"""Numbers that papers report, to print beside our own.

They stand in `published.toml`, each table with its source and with what its
scores are; a table more needs no code.
"""

import dataclasses
import pathlib
import tomllib

_FILE = pathlib.Path(__file__).with_name("published.toml")


@dataclasses.dataclass(frozen=True)
class Row:
    """One published model on one dataset.

    Args:
        data: Name of the data in the paper.
        model: Name of the model.
        scores: Score -> one value for each column, or for the first ones
            alone; a text where the paper gives more than a number, or to keep
            its digits.
    """

    data: str
    model: str
    scores: dict


@dataclasses.dataclass(frozen=True)
class Heading:
    """One column as it is printed.

    Args:
        score: Name of the score.
        column: Which of the table's columns.
        title: What stands above it.
        style: How numbers are written: `"number"`, `"nats"`, `"bits"` or
            `"percent"`.
    """

    score: str
    column: object
    title: str
    style: str = "number"


@dataclasses.dataclass(frozen=True)
class Table:
    """A published table.

    Args:
        title: What it shows.
        columns: Labels of the columns of each score.
        rows: Its rows.
        data_of: Our dataset's name (a pattern, as of file names) -> the
            paper's.
        column_key: What tells our conditions' columns apart.
        headings: What is printed, if that is not ARI, F-ARI and MSE in every
            column.
        model_of: Config that ours was trained with (a pattern) -> the paper's
            model, where the class does not tell; the first that fits counts.
    """

    title: str
    columns: tuple
    rows: tuple
    data_of: dict
    column_key: str | None = None
    headings: tuple = ()
    model_of: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ByObjects:
    """Scores of tracks by the number of objects, to set beside ours.

    Args:
        protocol: Name of the protocol that they are of.
        data: Pattern of our datasets.
        model: Name of the model, and how it was measured.
        numbers: Numbers of objects.
        scores: Score -> a value for each number.
    """

    protocol: str
    data: str
    model: str
    numbers: tuple
    scores: dict


def _read():
    """`(tables, ours, by_objects)` of the file.

    Raises:
        ValueError: If it is damaged, or a table has a field that none has.
    """
    try:
        content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
        tables = {k: _table(**v) for k, v in content["tables"].items()}
        by_objects = [_by_objects(**v) for v in content["by_objects"]]
        return tables, content["ours"], tuple(by_objects)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{_FILE} does not hold tables as it should ({error}); install "
            "the package again"
        ) from error


def _table(*, columns, rows, headings=(), **rest):
    return Table(
        columns=tuple(columns),
        rows=tuple(_row(**row) for row in rows),
        headings=tuple(Heading(**heading) for heading in headings),
        **rest,
    )


def _row(*, data, model, **scores):
    return Row(data, model, {k: tuple(v) for k, v in scores.items()})


def _by_objects(*, protocol, data, model, numbers, **scores):
    return ByObjects(protocol, data, model, tuple(numbers), scores)


# `OURS`: what our classes are called in the papers, where the names differ.
TABLES, OURS, BY_OBJECTS = _read()
TABLE1, TABLE2 = TABLES["table1"], TABLES["table2"]
LAVAE, DVIP, OCRB = TABLES["lavae"], TABLES["dvip"], TABLES["ocrb"]
