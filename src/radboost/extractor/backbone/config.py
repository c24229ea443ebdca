"""What is asked of a backbone."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from radboost.errors import UserError, WeightsError
from radboost.extractor.backbone.pooling import canonical_pools
from radboost.extractor.backbone.weights import checkpoint_sha256

__all__ = ["HF_HUB", "TRANSFORMERS", "BackboneConfig"]

HF_HUB = "hf-hub:"
"""Before the name of a timm model on the hub."""
TRANSFORMERS = "transformers:"
"""Before the name of a model of the `transformers` library."""


@dataclass(frozen=True)
class BackboneConfig:
    """A backbone by name, where its weights come from, and what is taken from it.

    Attributes
    ----------
    name
        A timm model, with or without a tag (``resnet10t.c3_in1k``); ``radboost:NAME``, a small network that comes with
        radboost; ``hf-hub:ORG/NAME``, a timm model on the hub; or ``transformers:ORG/NAME``, a model of the
        transformers library. ``transformers:FOLDER``, with a folder that begins with ``/``, ``.`` or ``~``, stands for
        the checkpoint FOLDER under the name of its config's model type, so that no path is kept.
    checkpoint
        File of weights, .safetensors or a state dict in .pt or .pth. For a transformers model also the folder that its
        `save_pretrained` wrote; and the folder of a training, whose networks then take the place of one.
    random_init
        Seed of untrained weights. Without it and without a checkpoint: pretrained weights. With a checkpoint only
        where that is a folder, which then gives the architecture.
    size
        Side of the images, pixels; None: the model's own, which `load_backbone` fills in.
    pool
        Some of `POOLS`; each becomes a matrix of its own. Kept sorted, without repeats, and ``channelmax:K`` as
        ``channelmax-K``.
    stage
        Take the features after this stage instead of the last, counted from 0 as timm's `forward_intermediates` does
        (in a ResNet 0 is the stem); what comes after is neither built nor run. Early stages of untrained networks
        describe texture better than late ones.
    mean, std
        Of the three input channels, on pixels scaled to 0..1; None: the model's own.
    windows
        (centre, width) in Hounsfield units, at most three, of a window layer before the network, which takes the place
        of mean and deviation; none for no such layer. See `radboost.extractor.backbone.window`.
    """

    name: str
    checkpoint: Path | None = None
    random_init: int | None = None
    size: int | None = 512
    pool: tuple[str, ...] = ("avg",)
    stage: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    windows: tuple[tuple[float, float], ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        self._name()
        if self.checkpoint is not None and self.random_init is not None and not self.folder:
            do = "Weights come from one place: give --checkpoint or --random-init"
            raise UserError("both a checkpoint and a random initialisation are asked for", do=do)
        if self.random_init is not None and not 0 <= self.random_init < 1 << 63:
            raise UserError("a seed lies in 0..2^63-1", where="--random-init", got=self.random_init)
        if self.stage is not None and self.stage < 0:
            raise UserError("must be at least 0", where="--stage", got=self.stage)
        if self.size is not None and self.size < 1:
            raise UserError("must be at least 1", where="--size", got=self.size)
        for name, least in (("mean", -math.inf), ("std", 0.0)):
            values = getattr(self, name)
            if values is None:
                continue
            values = tuple(float(v) for v in values)
            if len(values) != 3 or not all(math.isfinite(v) and v > least for v in values):
                do = "Give three numbers, for pixels in 0..1; a standard deviation is above 0"
                raise UserError("does not scale three channels", where=f"--{name}", got=values, do=do)
            object.__setattr__(self, name, values)
        pairs = [tuple(float(v) for v in window) for window in self.windows]
        if len(pairs) > 3 or any(len(pair) != 2 or not (math.isfinite(pair[0]) and pair[1] > 0) for pair in pairs):
            do = "Give one to three pairs (centre, width), a width above 0"
            raise UserError("is no layer of windows", where="windows", got=pairs, do=do)
        object.__setattr__(self, "windows", tuple(pairs))
        object.__setattr__(self, "pool", canonical_pools(tuple(self.pool)))

    def _name(self) -> None:
        """Bring the name into its one spelling, without a path."""
        kind, colon, rest = self.name.partition(":")
        if kind == "local-dir":
            do = "Name the architecture, and give the file of weights with --checkpoint"
            raise UserError("a folder is no name of a backbone", where="--backbone", got=self.name, do=do)
        if kind == "hf_hub":
            object.__setattr__(self, "name", f"{HF_HUB}{rest}")
        if f"{kind}{colon}" == TRANSFORMERS and rest.startswith(("/", ".", "~")):
            if self.checkpoint is not None:
                raise UserError("names a folder and a checkpoint", where="--backbone", do="Leave --checkpoint out")
            folder = Path(rest).expanduser().resolve()
            object.__setattr__(self, "checkpoint", folder)
            object.__setattr__(self, "name", f"{TRANSFORMERS}{_model_type(folder)}")

    @property
    def training(self) -> Path | None:
        """The checkpoint, where it is the folder of a training: then its fold networks are the backbone."""
        here = self.checkpoint
        return here if here is not None and (here / "training.json").is_file() else None

    @property
    def folder(self) -> Path | None:
        """The checkpoint, where it is a folder of a transformers model."""
        here = self.checkpoint
        return here if here is not None and self.name.startswith(TRANSFORMERS) and here.is_dir() else None

    def known(self) -> dict[str, object]:
        """Give the part of `Backbone.identifier` that is known without building the network."""
        asked = {"size": self.size, "mean": self.mean, "std": self.std}
        found = {k: list(v) if isinstance(v, tuple) else v for k, v in asked.items() if v is not None}
        return {"name": self.name, "pools": list(self.pool), "stage": self.stage, **found, **self.windowed()}

    def windowed(self) -> dict[str, object]:
        """Give the windows of the layer before the network, JSON-able; nothing where there is none."""
        return {"windows": [list(window) for window in self.windows]} if self.windows else {}

    def recipe(self) -> dict[str, object]:
        """Give all but the weights, JSON-able: ``BackboneConfig(**recipe, checkpoint=...)`` asks for the same again."""
        return {
            "name": self.name,
            "size": self.size,
            "pool": list(self.pool),
            "stage": self.stage,
            "mean": None if self.mean is None else list(self.mean),
            "std": None if self.std is None else list(self.std),
            **self.windowed(),
        }

    def source(self) -> dict[str, object]:
        """Tell where the weights come from, as far as that is known without building the network.

        Returns
        -------
        dict
            `kind` (random init, checkpoint or pretrained) and what tells it from others of its kind. Holds a
            checkpoint's name and sha256, never its path; a folder goes by the model type in its config.

        Raises
        ------
        WeightsError
            The checkpoint cannot be read.
        """
        found: dict[str, object] = {"kind": "pretrained", "name": self.name}
        if self.training is not None:
            return {"kind": "training", "file": "training", "file_sha256": checkpoint_sha256(self.training)}
        if self.random_init is not None:
            found = {"kind": "random init", "seed": self.random_init}
        elif self.checkpoint is not None:
            found = {"kind": "checkpoint"}
        if self.checkpoint is None:
            return found
        file = _model_type(self.folder) if self.folder else self.checkpoint.name
        sha256 = checkpoint_sha256(self.checkpoint, weights=self.random_init is None)
        return {**found, "file": file, "file_sha256": sha256}


def _model_type(folder: Path) -> str:
    do = "Give a folder that save_pretrained of a transformers model wrote"
    try:
        found = json.loads((folder / "config.json").read_text("utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError("holds no config.json of a transformers model", where=folder, do=do) from error
    return str(found)
