"""What a task declares of its tables' layout: those it reads, and the one in which predictions leave."""

from __future__ import annotations

from dataclasses import dataclass

from radboost.errors import TaskError

__all__ = ["FROM_HEADERS", "LongTable", "Submission"]

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
