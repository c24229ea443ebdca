"""What is asked of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from radboost.data.crop import PixelPolicy
from radboost.data.folder import digest
from radboost.data.pool import Limits
from radboost.errors import UserError
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.train.stages import SCHEDULES, Stage
from radboost.extractor.views import ViewConfig

__all__ = [
    "CLASS_WEIGHTS",
    "HEADS",
    "MONITORS",
    "SAMPLERS",
    "HeadConfig",
    "LearnConfig",
    "OnlyConfig",
    "TrainConfig",
]

HEADS = ("linear", "mlp", "conv")
"""Heads: one linear layer; one hidden layer; a convolution on the feature map and then a linear layer."""
CLASS_WEIGHTS = ("none", "balanced", "batch")
"""Weights of classes in the training loss: none, by frequency in the training rows, or by frequency in the batch."""
SAMPLERS = ("shuffle", "weighted", "one-positive")
"""Each example once an epoch; drawn so that all classes of the first target are as likely; or shuffled, with one
example of the first target's rarest class put into every batch."""
MONITORS = ("loss", "auc", "metric")
"""By what the best epoch is chosen, on inner units: log loss, AUC, or the task's own metric."""
_RATES = ("plateau", "cosine", "restarts", "constant")
_WARM = ("cosine", "constant")


@dataclass(frozen=True)
class HeadConfig:
    """What stands on the backbone.

    Attributes
    ----------
    kind
        One of `HEADS`.
    hidden
        Width of the hidden layer, of the convolution and of what metadata is brought to.
    dropout
        Share of the features that each step drops.
    metadata
        Whether the task's metadata, encoded by training rows, joins the features.
    """

    kind: str = "linear"
    hidden: int = 128
    dropout: float = 0.0
    metadata: bool = False

    def __post_init__(self) -> None:
        if self.kind not in HEADS:
            raise UserError("unknown head", where="--head", got=self.kind, do=f"Give {', '.join(HEADS)}")
        if self.hidden < 1 or not 0 <= self.dropout < 1:
            raise UserError("out of range", where="head", got=f"hidden {self.hidden}, dropout {self.dropout}")


@dataclass(frozen=True)
class LearnConfig:
    """How the network learns.

    Attributes
    ----------
    batch_size
        Examples a step and device. With several devices the rates of all stages are multiplied by their number.
    accumulate
        Steps whose gradients are added before the weights move.
    weight_decay
        Of Adam.
    class_weight, focal, soft
        See `CLASS_WEIGHTS`; gamma of the focal loss; share of each label that is smoothed over the classes.
    soft_positive
        Share of every label but those of the first class that goes to the first class: positives as 1 less that.
    sampler
        One of `SAMPLERS`.
    rate
        How the learning rate falls within a stage: ``plateau`` (halved after three epochs without gain), ``cosine``,
        ``restarts`` (a cosine each epoch: Loshchilov and Hutter, ICLR 2017), or ``constant``.
    warm_up
        Share of a stage's steps over which the rate rises from 0.
    patience
        Epochs without gain after which a stage ends; 0 for never.
    monitor
        One of `MONITORS`.
    ema
        Decay of the running mean of the weights that is evaluated and kept; 0 for the weights themselves.
    keep
        Best epochs of a stage whose weights are averaged, where their mean is better than the best of them; 1 for none.
    mixup
        Each crop is laid over another of its batch, the share drawn from a beta distribution of this parameter; 0 for
        no mixing.
    inner
        Share of the training groups that choose the epoch and are not trained on.
    """

    batch_size: int = 32
    accumulate: int = 1
    weight_decay: float = 0.0
    class_weight: str = "none"
    focal: float = 0.0
    soft: float = 0.0
    soft_positive: float = 0.0
    sampler: str = "shuffle"
    rate: str = "plateau"
    warm_up: float = 0.0
    patience: int = 6
    monitor: str = "loss"
    ema: float = 0.0
    keep: int = 1
    mixup: float = 0.0
    inner: float = 0.15

    def __post_init__(self) -> None:
        for what, got, known in (
            ("class weight", self.class_weight, CLASS_WEIGHTS),
            ("sampler", self.sampler, SAMPLERS),
            ("rate", self.rate, _RATES),
            ("monitor", self.monitor, MONITORS),
        ):
            if got not in known:
                raise UserError(f"unknown {what}", where="training", got=got, do=f"Give {', '.join(known)}")
        ranges = {
            "batch_size": self.batch_size >= 1,
            "accumulate": self.accumulate >= 1,
            "weight_decay": self.weight_decay >= 0,
            "focal": self.focal >= 0,
            "soft": 0 <= self.soft < 1,
            "soft_positive": 0 <= self.soft_positive < 1,
            "warm_up": 0 <= self.warm_up < 1,
            "patience": self.patience >= 0,
            "ema": 0 <= self.ema < 1,
            "keep": self.keep >= 1,
            "mixup": self.mixup >= 0,
            "inner": 0 < self.inner <= 0.5,
        }
        for name, fine in ranges.items():
            if not fine:
                raise UserError("out of range", where=f"training {name}", got=getattr(self, name))
        self._refuse_collisions()

    def _refuse_collisions(self) -> None:
        """Refuse what would be corrected for twice, or silently do nothing."""
        weighs, samples = self.class_weight != "none", self.sampler == "weighted"
        for wrong, what, got in (
            (weighs and samples, "rare classes are weighed and drawn more often too", f"{self.class_weight}, weighted"),
            (bool(self.warm_up) and self.rate not in _WARM, "a warm-up needs rate cosine or constant", self.rate),
        ):
            if wrong:
                raise UserError(what, where="[learn]", got=got, do="Leave one of the two out")


@dataclass(frozen=True)
class OnlyConfig:
    """What one network is for, where several share the work, such as one a condition; empty for everything.

    Attributes
    ----------
    targets
        Names of the targets that are learnt and predicted.
    parts
        Parts of the task's metric whose units are.
    slots
        Slots whose crops the network sees.
    """

    targets: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainConfig:
    """A training.

    Attributes
    ----------
    backbone
        Where training starts; its first pooling feeds the head.
    pixels
        What a crop is.
    stages
        One after another, each from the best epoch of the one before.
    head, learn
        See their classes.
    augment
        What every epoch does to crops; its numbers are drawn by hashing, see `radboost.extractor.views`.
    only
        What the networks are for.
    weights
        Weights that simulate a target set, by hashed unit; none without them. With weights the training is a member of
        kind weighted.
    folds
        Outer folds that get a network of their own; none means all.
    seed
        Of weights of heads, order and augmentation.
    device, devices, precision
        Where; how many of them; and in which precision matrices are multiplied.
    workers, limits
        Of decoding.
    """

    backbone: BackboneConfig
    pixels: PixelPolicy
    stages: tuple[Stage, ...] = SCHEDULES["head"]
    head: HeadConfig = field(default_factory=HeadConfig)
    learn: LearnConfig = field(default_factory=LearnConfig)
    augment: ViewConfig = field(default_factory=ViewConfig)
    only: OnlyConfig = field(default_factory=OnlyConfig)
    weights: Mapping[str, float] | None = None
    folds: tuple[int, ...] = ()
    seed: int = 0
    device: str = "auto"
    devices: int = 1
    precision: str = "auto"
    workers: int | None = None
    limits: Limits = field(default_factory=Limits)

    def running(
        self, folds: tuple[int, ...], seed: int, place: tuple[str, int], precision: str, workers: int | None
    ) -> TrainConfig:
        """Say which folds, from which seed, where (device, devices), how precisely, and by how many processes."""
        device, devices = place
        fixed = replace(self, folds=folds, seed=seed, precision=precision, workers=workers)
        return replace(fixed, device=device, devices=devices)

    def recipe(self) -> dict[str, Any]:
        """Give all that shapes the result, JSON-able; not where or by how many processes it is made."""
        return {
            "backbone": self.backbone.recipe(),
            "source": self.backbone.source(),
            "pixels": self.pixels.as_dict(),
            "stages": [stage.to_dict() for stage in self.stages],
            "head": asdict(self.head),
            "learn": asdict(self.learn),
            "augment": _plain(asdict(self.augment)),
            "only": _plain(asdict(self.only)),
            "weights": None if self.weights is None else digest(sorted(self.weights.items())),
            "seed": self.seed,
            "devices": self.devices,
        }

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> TrainConfig:
        """Rebuild what `recipe` gives; weights that a training began with are not asked for again.

        Raises
        ------
        KeyError, TypeError
            It is no recipe.
        """
        return cls(
            BackboneConfig(**_tuples(recipe["backbone"]), random_init=0),
            PixelPolicy.from_dict(recipe["pixels"]),
            tuple(Stage(**stage) for stage in recipe["stages"]),
            HeadConfig(**recipe["head"]),
            LearnConfig(**recipe["learn"]),
            ViewConfig(**_tuples(recipe["augment"])),
            OnlyConfig(**_tuples(recipe["only"])),
            seed=recipe["seed"],
            devices=recipe["devices"],
        )


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in content.items()}
