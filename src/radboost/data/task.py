"""A task: the frozen value that says all that differs between data sets.

Stages never ask which data set they work on; they read these fields, as `cohort.json` carries them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from radboost.data.features import OPPOSITE, Metadata, Slots
from radboost.data.images import BOX_UNITS, CROPS, Images
from radboost.data.layout import FROM_HEADERS, LongTable, Lookup, MetricParts, Part, Stacked, Submission, WideTable
from radboost.data.regions import Patches, Regions
from radboost.data.volumes import Volumes
from radboost.errors import TaskError, offenders

__all__ = [
    "BOX_UNITS",
    "CROPS",
    "FROM_HEADERS",
    "METRICS",
    "OPPOSITE",
    "AnyOf",
    "Images",
    "LongTable",
    "Lookup",
    "Metadata",
    "MetricParts",
    "Part",
    "Patches",
    "Regions",
    "Slots",
    "Stacked",
    "Submission",
    "Target",
    "Task",
    "Volumes",
    "WideTable",
]

METRICS = ("log_loss", "joint_log_loss", "parts_log_loss", "auc", "pf1")
"""What a task may name as its own metric; loss and AUC are always reported beside it. ``joint_log_loss`` is that of the
rows of all targets together, each under its task weight."""


@dataclass(frozen=True)
class Target:
    """One label of a unit.

    Attributes
    ----------
    name
        Name in predictions and submission.
    column
        Column of the table that holds it.
    classes
        Its values as text, in order; two classes ("0", "1") make a binary target.
    weights
        Task weight of a unit by its class, one a class; empty for 1 everywhere.
    aliases
        Pairs (value, class) for other values that the column may hold.
    """

    name: str
    column: str
    classes: tuple[str, ...] = ("0", "1")
    weights: tuple[float, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise TaskError(f"target {self.name!r} needs two or more distinct classes", got=list(self.classes))
        if self.weights and not (
            len(self.weights) == len(self.classes) and all(0 <= w < math.inf for w in self.weights)
        ):
            raise TaskError(
                f"target {self.name!r} needs one weight of at least 0 for each class",
                got=list(self.weights),
                do=f"Its classes are {', '.join(self.classes)}",
            )
        lost = [value for value, name in self.aliases if name not in self.classes or value in self.classes]
        if lost:
            do = f"Its classes are {', '.join(self.classes)}; an alias is another value that counts as one of them"
            raise TaskError(f"aliases of target {self.name!r} are of no use", got=offenders(lost), do=do)

    @property
    def binary(self) -> bool:
        """Whether predictions hold one row, the probability of the second class."""
        return len(self.classes) == 2

    @property
    def predicted(self) -> tuple[int, ...]:
        """Class numbers that predictions hold: (1,) for a binary target, else all."""
        return (1,) if self.binary else tuple(range(len(self.classes)))


@dataclass(frozen=True)
class AnyOf:
    """A label that is true where any of its parts is: its probability lies between their largest and their sum.

    Attributes
    ----------
    whole
        Name of the binary target that says "any".
    parts
        Names of the binary targets it is made of.
    """

    whole: str
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.parts or self.whole in self.parts or len(set(self.parts)) != len(self.parts):
            raise TaskError(f"a constraint needs distinct parts beside {self.whole!r}", got=list(self.parts))


@dataclass(frozen=True)
class Task:
    """All that differs between data sets.

    Attributes
    ----------
    name
        Name on the command line.
    table, test_table
        File of the labelled table, and of the one for new exams (no label columns; empty: the same file).
    unit
        Columns whose values, joined by ``_``, name what one prediction is about.
    group
        Column of what may never be split between training and validation: the patient.
    targets, images, slots, metadata, submission
        See their own classes.
    metric
        One of `METRICS`.
    constraints
        What holds between the targets' probabilities; a blend is moved to where it does.
    long
        Given where the table has one row a unit and target.
    from_headers
        Columns out of `FROM_HEADERS` that the table lacks and each image's header holds.
    stacked
        Given where several tables are read as one; `table` is then the first of them.
    wide
        Given where the table has one column a unit.
    lookup
        Columns that follow from another one.
    parts
        What ``parts_log_loss`` is the mean over.
    volumes
        Given where the images are whole series of slices; paths and boxes of `images` are then not used.
    regions
        Given where each row has a mask; the columns of `images.box` are then made from it.
    patches, origin
        Given where rows are patches: how they are drawn, and the task whose rows they are drawn from.
    """

    name: str
    table: str
    unit: tuple[str, ...]
    group: str
    targets: tuple[Target, ...]
    test_table: str = ""
    images: Images = field(default_factory=Images)
    slots: Slots = field(default_factory=Slots)
    metadata: Metadata = field(default_factory=Metadata)
    metric: str = "log_loss"
    submission: Submission = field(default_factory=Submission)
    constraints: tuple[AnyOf, ...] = ()
    long: LongTable | None = None
    from_headers: tuple[str, ...] = ()
    stacked: Stacked | None = None
    wide: WideTable | None = None
    lookup: Lookup | None = None
    volumes: Volumes | None = None
    parts: MetricParts | None = None
    regions: Regions | None = None
    patches: Patches | None = None
    origin: Task | None = None

    def __post_init__(self) -> None:
        if not self.targets or not self.unit:
            raise TaskError("needs at least one target and one unit column", where=self.name)
        names = [t.name for t in self.targets]
        if self.submission.id_column in names:
            raise TaskError("a target has the name of the id column", where=self.name, got=self.submission.id_column)
        if len(set(names)) != len(names):
            raise TaskError("two targets share a name", where=self.name, got=offenders(names))
        if self.metric not in METRICS:
            raise TaskError("unknown metric", where=self.name, got=self.metric, do=f"Known: {', '.join(METRICS)}")
        if (self.metric == "parts_log_loss") != (self.parts is not None):
            raise TaskError("parts and the metric parts_log_loss go together", where=self.name, got=self.metric)
        if self.parts is not None and (
            len(self.targets) > 1 or self.targets[0].binary or self.parts.column not in self.metadata.categorical
        ):
            do = "Name one target of three or more classes, and a column of [metadata] categorical"
            raise TaskError("parts_log_loss cannot be had", where=self.name, got=self.parts.column, do=do)
        if self.metric == "pf1" and not all(t.binary for t in self.targets):
            raise TaskError("pf1 needs binary targets", where=self.name)
        binary = {t.name for t in self.targets if t.binary}
        unknown = sorted({name for c in self.constraints for name in (c.whole, *c.parts)} - binary)
        if unknown:
            raise TaskError("a constraint names what is no binary target", where=self.name, got=offenders(unknown))
        labels = {t.column for t in self.targets}
        leaks = sorted(labels & {*self.metadata.numeric, *self.metadata.categorical})
        if leaks:
            raise TaskError("a target's column is also metadata", where=self.name, got=offenders(leaks))
        self._check_sources()

    def _check_sources(self) -> None:
        """Raise TaskError where a column is said to come from where it cannot."""
        if self.volumes is not None and self.slots.values != self.volumes.slots:
            do = f"[slots] values must be {', '.join(self.volumes.slots)}"
            raise TaskError("slots are not those of its volumes", where=self.name, got=list(self.slots.values), do=do)
        if self.images.crop == "box" and not self.images.box and self.volumes is None:
            raise TaskError("[images] crop is box and no box is given", do="Name its four columns under box")
        unknown = sorted(set(self.from_headers) - set(FROM_HEADERS))
        if unknown:
            do = f"Known: {', '.join(FROM_HEADERS)}"
            raise TaskError("from_headers names what no header holds", where=self.name, got=offenders(unknown), do=do)
        early = sorted(set(self.from_headers) & self.images.columns())
        if early:
            raise TaskError("paths and boxes cannot come from headers", where=self.name, got=offenders(early))
        if self.regions is not None and not self.images.box:
            raise TaskError("[regions] needs names for the four columns of [images] box", where=self.name)
        if (self.patches is None) != (self.origin is None):
            raise TaskError("patches and origin come together", where=self.name)
        if self.stacked is not None:
            if self.stacked.parts[0].file != self.table:
                do = f"It is {self.stacked.parts[0].file}"
                raise TaskError("table must be the first of the stacked ones", where=self.name, got=self.table, do=do)
            if self.test_table or self.long or self.wide or self.lookup:
                raise TaskError("stacked tables stand beside no test_table, long, wide or lookup", where=self.name)
        if self.long is not None:
            lost = sorted(self.structure_columns - {self.long.unit_column, *self.from_headers})
            lost += [name for name in self.feature_columns if name not in lost]
            if lost:
                do = f"Besides labels it holds {self.long.unit_column}; headers may give {', '.join(FROM_HEADERS)}"
                raise TaskError("a long table has no such columns", where=self.name, got=offenders(lost), do=do)

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """Metadata columns in the order of the design."""
        return (*self.metadata.numeric, *self.metadata.categorical)

    @property
    def structure_columns(self) -> set[str]:
        """Columns that the table needs besides labels and metadata."""
        own = self.volumes.own if self.volumes else None
        optional = {c for c in (self.slots.column, self.slots.side, own) if c}
        images = self.images.columns()
        if self.regions is not None:
            images = (images - set(self.images.box)) | self.regions.needed()
        return {*self.unit, self.group, *images, *optional}

    def need_volumes(self) -> Volumes:
        """Give `volumes`; raises TaskError where images are no series."""
        if self.volumes is None:
            raise TaskError("has no [volumes]", where=self.name, do="Its images are not series of slices")
        return self.volumes

    def target(self, name: str) -> Target:
        """Find a target by name; raises TaskError for an unknown one."""
        for target in self.targets:
            if target.name == name:
                return target
        raise TaskError("has no such target", where=self.name, got=name)

    def as_dict(self) -> dict[str, Any]:
        """Give JSON-able content; `Task.from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Task:
        """Rebuild a task from `as_dict`.

        Raises
        ------
        TaskError
            A field is unknown or of the wrong shape.
        """
        try:
            parts = dict(content)
            parts["targets"] = tuple(Target(**_tuples(t)) for t in parts["targets"])
            for part in fields(cls):
                kind = _PARTS.get(part.name)
                if kind is not None and parts.get(part.name) is not None:
                    parts[part.name] = kind(**_tuples(parts[part.name]))
            parts["unit"], parts["from_headers"] = tuple(parts["unit"]), tuple(parts.get("from_headers", ()))
            parts["constraints"] = tuple(AnyOf(**_tuples(c)) for c in parts.get("constraints", ()))
            return cls(**parts)
        except (TypeError, KeyError) as error:
            raise TaskError("does not describe a task", where=str(content.get("name", "?")), got=str(error)) from error


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON and TOML know lists only; frozen values hold tuples."""

    def freeze(value: Any) -> Any:
        return tuple(freeze(v) for v in value) if isinstance(value, list | tuple) else value

    return {name: freeze(value) for name, value in content.items()}


def _stacked(parts: Iterable[Mapping[str, Any]], prevails: tuple[tuple[str, str], ...] = ()) -> Stacked:
    return Stacked(tuple(Part(**_tuples(part)) for part in parts), prevails)


_PARTS: dict[str, Any] = {
    "images": Images,
    "slots": Slots,
    "metadata": Metadata,
    "submission": Submission,
    "long": LongTable,
    "stacked": _stacked,
    "wide": WideTable,
    "lookup": Lookup,
    "parts": MetricParts,
    "volumes": lambda **content: Volumes.from_dict(content),
    "regions": Regions,
    "patches": Patches,
    "origin": lambda **parts: Task.from_dict(parts),
}
