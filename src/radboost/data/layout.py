"""What a task declares of its tables' layout: those it reads, and the one in which predictions leave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from radboost.errors import TaskError, offenders

__all__ = ["FROM_HEADERS", "LongTable", "Lookup", "MetricParts", "Part", "Stacked", "Submission", "WideTable"]

FROM_HEADERS = ("patient_id", "study_uid", "series_uid", "instance_uid", "laterality", "view")
"""Columns that a table may lack where the images' DICOM headers hold them."""


@dataclass(frozen=True)
class Submission:
    """How predictions leave: an id column, then one column a target (binary) or a class.

    Attributes
    ----------
    id_column
        Header of the id column, which holds the unit.
    value_column
        Given, predictions leave as a long table instead: one row a unit and target (binary) or class, whose id is
        ``<unit>_<target>`` and whose probability stands in this column.
    sample
        File beside the table for new exams that shows the rows wanted, and their order; empty where there is none.
    """

    id_column: str = "unit"
    value_column: str = ""
    sample: str = ""


@dataclass(frozen=True)
class LongTable:
    """A table with one row a unit and target, to be read as one row a unit.

    Attributes
    ----------
    id_column
        Column that holds ``<unit><separator><target's column>``.
    value_column
        Column that holds the label; a table for new exams may hold anything there.
    unit_column
        Name that the first part of the id goes by, as a column of the table that is read.
    separator
        What stands between the two parts.
    """

    id_column: str
    value_column: str
    unit_column: str
    separator: str = "_"

    def __post_init__(self) -> None:
        names = (self.id_column, self.value_column, self.unit_column)
        if not all(names) or self.id_column == self.value_column:
            raise TaskError("[long] needs an id, a value and a unit column", got=list(names))


@dataclass(frozen=True)
class Part:
    """One of several tables that are read as one.

    Attributes
    ----------
    file
        Its name in the data folder.
    constants
        Pairs (column, value) that hold for all its rows, such as what its name says.
    renames
        Pairs (column in the file, name in the task), where tables spell a column differently; a column that the file
        lacks is passed by.
    """

    file: str
    constants: tuple[tuple[str, str], ...] = ()
    renames: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.file:
            raise TaskError("[[stacked.parts]] needs a file", got=self)
        for name, pairs in (("constants", self.constants), ("renames", self.renames)):
            if not all(isinstance(pair, tuple) and len(pair) == 2 and all(pair) for pair in pairs):
                raise TaskError(f"[[stacked.parts]] {name} must be pairs of text", where=self.file, got=list(pairs))
        names = [column for column, _ in self.constants] + [new for _, new in self.renames]
        # One name may stand for two spellings, as long as no file has both.
        twice = [column for column, _ in self.constants if names.count(column) > 1]
        if twice:
            raise TaskError("[[stacked.parts]] gives a column twice", where=self.file, got=offenders(twice))


@dataclass(frozen=True)
class Stacked:
    """Tables with the same kind of rows, read one below the other; a column that one of them lacks is empty there.

    Attributes
    ----------
    parts
        The tables, in order. Those that the data folder holds are read, so that one of them alone will do.
    prevails
        Pairs (column, value): a group with that value in one row has it in all. Where tables were split apart, each
        on its own, a patient may stand on both sides; then one side must have her whole.
    """

    parts: tuple[Part, ...]
    prevails: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.parts:
            raise TaskError("[stacked] needs parts")
        files = [part.file for part in self.parts]
        if len(set(files)) != len(files):
            raise TaskError("[stacked] names a file twice", got=offenders(files))
        if not all(isinstance(pair, tuple) and len(pair) == 2 and all(pair) for pair in self.prevails):
            raise TaskError("[stacked] prevails must be pairs of column and value", got=list(self.prevails))


@dataclass(frozen=True)
class WideTable:
    """A table with one row a group and one column for each of its units, to be read as one row a unit.

    A heading is one value of each name, joined by ``_``: ``spinal_canal_stenosis_l1_l2`` of a condition and a level.

    Attributes
    ----------
    names
        Columns of the table that is read which a heading gives: ``condition``, ``level``. They end the unit's columns.
    values
        For each name all its values, in order.
    value_column
        Name that the cells go by, as the target's column.
    """

    names: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    value_column: str

    def __post_init__(self) -> None:
        if not self.names or len(self.names) != len(self.values) or not self.value_column:
            do = "Give names, as many lists of values, and value_column"
            raise TaskError("[wide] names and values do not fit together", got=list(self.names), do=do)
        count = math.prod(len(values) for values in self.values)
        if not count or len(self.headings) != count or not all(map(all, self.values)):
            got = [list(values) for values in self.values]
            raise TaskError("[wide] values must make distinct headings, at least one", got=got)

    @property
    def headings(self) -> dict[str, tuple[str, ...]]:
        """What each heading says: a value of each of `names`."""
        return {"_".join(values): values for values in product(*self.values)}


@dataclass(frozen=True)
class Lookup:
    """Columns that follow from another one: the side and the part of a score from the condition.

    Attributes
    ----------
    column
        The column that decides.
    gives
        Columns that are added.
    rows
        For each of its values: the value, then one cell a given column.
    """

    column: str
    gives: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        values = [row[0] for row in self.rows if row]
        if not self.gives or len(set(values)) < len(self.rows) or any(len(r) != 1 + len(self.gives) for r in self.rows):
            do = f"Each row holds one value of {self.column} and {len(self.gives)} cells; no value stands twice"
            raise TaskError("[lookup] rows do not fit its columns", got=list(self.gives), do=do)

    def cells(self, name: str) -> dict[str, str]:
        """One given column, by value of the deciding one."""
        place = 1 + self.gives.index(name)
        return {row[0]: row[place] for row in self.rows}


@dataclass(frozen=True)
class MetricParts:
    """Parts that a metric is the mean over; see `radboost.metrics.PartsLogLoss`.

    Attributes
    ----------
    column
        Categorical metadata that names a unit's part.
    any_part
        Part that counts once more, by whether a group has the last class anywhere in it; empty for none.
    """

    column: str
    any_part: str = ""
