"""What is asked of a backbone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from radboost.data.folder import file_sha256
from radboost.errors import UserError, WeightsError

__all__ = ["POOLS", "BackboneConfig"]

POOLS = ("avg", "avgmax", "cls", "max")
"""Ways from a feature map to one vector: mean, half of mean plus maximum, class token, maximum."""


@dataclass(frozen=True)
class BackboneConfig:
    """A backbone by name, where its weights come from, and what is taken from it.

    Attributes
    ----------
    name
        A timm model, with or without a tag (``resnet10t.c3_in1k``), or ``hf-hub:ORG/NAME``.
    checkpoint
        File of weights, .safetensors or a state dict in .pt or .pth.
    random_init
        Seed of untrained weights. Without it and without a checkpoint: timm's pretrained weights.
    size
        Side of the images, pixels.
    pool
        Some of `POOLS`; each becomes a matrix of its own. Kept sorted and without repeats.
    stage
        Take the features after this stage instead of the last, counted from 0 as timm's `forward_intermediates` does
        (in a ResNet 0 is the stem); what comes after is neither built nor run. Early stages of untrained networks
        describe texture better than late ones.
    """

    name: str
    checkpoint: Path | None = None
    random_init: int | None = None
    size: int = 512
    pool: tuple[str, ...] = ("avg",)
    stage: int | None = None

    def __post_init__(self) -> None:
        if self.checkpoint is not None and self.random_init is not None:
            do = "Weights come from one place: give --checkpoint or --random-init"
            raise UserError("both a checkpoint and a random initialisation are asked for", do=do)
        if self.random_init is not None and not 0 <= self.random_init < 1 << 63:
            raise UserError("a seed lies in 0..2^63-1", where="--random-init", got=self.random_init)
        if self.stage is not None and self.stage < 0:
            raise UserError("must be at least 0", where="--stage", got=self.stage)
        unknown = sorted(set(self.pool) - set(POOLS))
        if unknown or not self.pool:
            got = ", ".join(unknown) or "none"
            raise UserError("unknown pooling", where="--pool", got=got, do=f"Give some of {', '.join(POOLS)}")
        object.__setattr__(self, "pool", tuple(sorted(set(self.pool))))

    def source(self) -> dict[str, object]:
        """Tell where the weights come from, as far as that is known without building the network.

        Returns
        -------
        dict
            `kind` (random, checkpoint or pretrained) and what tells it from others of its kind. Holds a checkpoint's
            name and sha256, never its path.

        Raises
        ------
        WeightsError
            The checkpoint cannot be read.
        """
        if self.random_init is not None:
            return {"kind": "random init", "seed": self.random_init}
        if self.checkpoint is None:
            return {"kind": "pretrained", "name": self.name}
        try:
            return {"kind": "checkpoint", "file": self.checkpoint.name, "file_sha256": file_sha256(self.checkpoint)}
        except OSError as error:
            raise WeightsError(
                "cannot be read", where=self.checkpoint, got=error.strerror, do="Give a file to --checkpoint"
            ) from error
