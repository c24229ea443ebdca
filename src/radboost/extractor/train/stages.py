"""Stages of training: which layers learn, how fast, for how long.

Layers are named, not numbered by one library's modules: the head, the last N blocks, those from a named layer on, or
all. Blocks are those that timm itself groups a network's parameters by, from stem to last.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from radboost.errors import UserError
from radboost.extractor.train.typed import checked

__all__ = ["SCHEDULES", "Stage", "read_schedule", "stages_from"]


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes
    ----------
    name
        Of the stage, in logs.
    epochs
        At most; training may stop earlier.
    rate
        Learning rate of the head, and of every layer that learns where `growth` is 1.
    layers
        ``head``, ``top:N`` (head and the last N blocks), ``from:NAME`` (head and all from the block with the layer NAME
        on, such as ``from:layer2`` in a ResNet), or ``all``.
    growth
        Rate of a block over the rate of the block before it; the last block has `rate` divided by it, and so down to
        the stem. 1 gives all layers one rate.
    window
        Learning rate of the window layer, where the network has one; 0 leaves it as it is, whatever else learns.
    """

    name: str
    epochs: int
    rate: float
    layers: str = "all"
    growth: float = 1.0
    window: float = 0.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w .-]*", self.name):
            do = "Give letters, digits, dots and dashes: a folder is named after it"
            raise UserError("is no name of a stage", where="stage", got=repr(self.name), do=do)
        kind, _, which = self.layers.partition(":")
        counted = kind == "top" and which.isdigit() and int(which) > 0
        if not (self.layers in ("head", "all") or counted or (kind == "from" and which)):
            do = "Give head, top:N, from:NAME or all"
            raise UserError("unknown layers", where=f"stage {self.name}", got=self.layers, do=do)
        ranges = {"epochs": self.epochs >= 1, "rate": 0 < self.rate < 1, "growth": self.growth >= 1}
        for what, fine in {**ranges, "window": 0 <= self.window < 1}.items():
            if not fine:
                raise UserError(f"{what} out of range", where=f"stage {self.name}", got=getattr(self, what))

    def rates(self, blocks: Sequence[Sequence[str]]) -> list[float]:
        """Rate of each block, stem first, then of the head; 0 where it does not learn.

        Parameters
        ----------
        blocks
            Names of the parameters of each.

        Raises
        ------
        UserError
            No block has a layer of the name that is asked for.

        >>> network = [["stem.weight"], ["layer1.0.weight", "layer1.1.weight"]]
        >>> Stage("layerwise", 5, 2e-4, "all", growth=2.0).rates(network)
        [5e-05, 0.0001, 0.0002]
        >>> Stage("top", 5, 1e-4, "from:layer1").rates(network) == Stage("top", 5, 1e-4, "top:1").rates(network)
        True
        """
        count = len(blocks)
        first = self._first(blocks)
        own = [self.rate / self.growth ** (count - k) for k in range(count)]
        return [0.0] * first + own[first:] + [self.rate]

    def _first(self, blocks: Sequence[Sequence[str]]) -> int:
        """Number of the first block that learns."""
        kind, _, which = self.layers.partition(":")
        if kind != "from":
            return len(blocks) - {"head": 0, "top": min(int(which or 0), len(blocks)), "all": len(blocks)}[kind]
        for number, names in enumerate(blocks):
            if any(f".{which}." in f".{name}" for name in names):
                return number
        known = sorted({part for names in blocks for name in names for part in name.split(".")[:2]})
        do = f"The network has {', '.join(part for part in known if not part.isdigit())}"
        raise UserError("the network has no such layer", where=f"stage {self.name}", got=which, do=do)

    def to_dict(self) -> dict[str, Any]:
        """Give JSON-able content."""
        return asdict(self)


SCHEDULES: Mapping[str, tuple[Stage, ...]] = {
    "head": (Stage("head", 10, 1e-3, "head"),),
    # Shen et al. 2019: last layer, top layers (about layer2 on in a ResNet of stem and four), all.
    "three-stage": (
        Stage("head", 3, 1e-3, "head"),
        Stage("top", 10, 1e-4, "top:3"),
        Stage("all", 37, 1e-5, "all"),
    ),
    # The haemorrhage recipe: twice the rate for each block on the way to the classifier.
    "layerwise": (Stage("layerwise", 5, 2e-4, "all", growth=2.0, window=5e-6),),
}
"""Schedules by name."""


def read_schedule(name: str) -> tuple[Stage, ...]:
    """Give a schedule by its name, or read one from a TOML file with a table ``[[stage]]`` a stage.

    Raises
    ------
    UserError
        There is no such schedule, or the file does not describe one.
    """
    if name in SCHEDULES:
        return SCHEDULES[name]
    path = Path(name)
    if path.suffix != ".toml":
        do = f"Give {', '.join(SCHEDULES)}, or a FILE.toml"
        raise UserError("unknown schedule", where="--schedule", got=name, do=do)
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError("cannot be read as a schedule", where=path, got=str(error)) from error
    return stages_from(content.get("stage", ()), path)


def stages_from(content: object, where: Path) -> tuple[Stage, ...]:
    """Build stages from what JSON or TOML holds; raises UserError where they are none."""
    known = [f.name for f in fields(Stage)]
    if not content or not isinstance(content, list | tuple):
        raise UserError("names no stage", where=where, do=f"Write a table [[stage]] with {', '.join(known)}")
    try:
        return tuple(Stage(**checked(each, Stage, f"{where} [[stage]]")) for each in content)
    except TypeError as error:
        do = f"A stage has {', '.join(known)}"
        raise UserError("does not describe a schedule", where=where, got=str(error), do=do) from error
