"""What a training's config file and command line ask for, before the cohort has its say."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

import radboost
from radboost.data.crop import PixelPolicy
from radboost.data.networks import training_content
from radboost.data.task import Task
from radboost.errors import UserError
from radboost.extractor.backbone import BackboneConfig, input_size, layered
from radboost.extractor.train.config import HeadConfig, LearnConfig, OnlyConfig, TrainConfig
from radboost.extractor.train.stages import SCHEDULES, Stage, read_schedule, stages_from
from radboost.extractor.train.start import earlier
from radboost.extractor.train.typed import checked
from radboost.extractor.views import ViewConfig, hu_shift

__all__ = ["BACKBONE", "CONFIGS", "Asked", "config_names", "read_config"]

CONFIGS = Path(radboost.__file__).parent / "configs"
"""Recipes that come with radboost, known by name."""

BACKBONE = "resnet18.a1_in1k"
"""Where training starts if nobody says."""
_SECTIONS = {"head": HeadConfig, "learn": LearnConfig, "augment": ViewConfig, "only": OnlyConfig}
_TOP = {"crop": str, "size": int, "stack": int, "schedule": str, "stage": object, "backbone": object}
_TOP |= dict.fromkeys(_SECTIONS, object)
LEAST = 32
"""Pixels of a crop's side, at least; as on the command line."""
_BACKBONE = ("name", "random_init", "pool", "stage", "mean", "std", "windows")


@dataclass(frozen=True)
class Asked:
    """A training as asked for.

    Attributes
    ----------
    backbone
        Fields of `BackboneConfig` but its size.
    crop, size
        Of the pixels; None leaves them to task and network.
    stack
        Slices shown as channels, 1 or 3; see `radboost.data.crop.PixelPolicy`.
    stages, head, learn, augment, only
        See `TrainConfig`.
    """

    backbone: Mapping[str, Any] = field(default_factory=dict)
    crop: str | None = None
    size: int | None = None
    stack: int = 1
    stages: tuple[Stage, ...] = SCHEDULES["head"]
    head: HeadConfig = field(default_factory=HeadConfig)
    learn: LearnConfig = field(default_factory=LearnConfig)
    augment: ViewConfig | None = None
    only: OnlyConfig = field(default_factory=OnlyConfig)

    def with_options(self, **given: Any) -> Asked:
        """Let options of the command line win; None says nothing."""
        told = {name: value for name, value in given.items() if value is not None}
        backbone = dict(self.backbone)
        for option, name in (("backbone", "name"), ("checkpoint", "checkpoint"), ("random_init", "random_init")):
            if option in told:
                backbone[name] = told[option]
        if "checkpoint" in told:
            backbone.pop("random_init", None)
        head = replace(self.head, **{k: told[o] for o, k in (("head", "kind"), ("metadata", "metadata")) if o in told})
        learn = replace(self.learn, **{k: told[k] for k in ("batch_size",) if k in told})
        stages = read_schedule(told["schedule"]) if "schedule" in told else self.stages
        if "epochs" in told:
            stages = tuple(replace(stage, epochs=min(stage.epochs, told["epochs"])) for stage in stages)
        pixels = {name: told[name] for name in ("crop", "size", "stack") if name in told}
        return replace(self, backbone=backbone, head=head, learn=learn, stages=stages, **pixels)

    def _network(self, size: int | None) -> BackboneConfig:
        given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in self.backbone.items()}
        before = earlier(BackboneConfig(BACKBONE, given.get("checkpoint")))
        if before is not None:
            # The weights of an earlier training fit the network that it trained, and no other.
            made = {n: v for n, v in training_content(before)["config"]["backbone"].items() if n != "size"}
            given = {**{n: tuple(v) if isinstance(v, list) else v for n, v in made.items()}, **given}
        given.setdefault("name", BACKBONE)
        return BackboneConfig(**given, size=size)

    def side(self, task: Task | None) -> int:
        """Side of a crop: as asked, else the task's, else what the network was made for; pixels."""
        return self.size or (task.images.size if task else input_size(self._network(None)))

    def settings(self, pixels: PixelPolicy, window_layer: bool = False) -> TrainConfig:
        """Give the training of such crops; a window layer begins with theirs, or with those of the config."""
        network = self._network(pixels.size)
        if network.windows:
            pixels, window_layer = replace(pixels, windows=network.windows), True
        if window_layer:
            network, pixels = layered(network, pixels)
        shift = hu_shift(pixels.windows) if pixels.windows else ViewConfig.intensity
        augmented = self.augment or ViewConfig(intensity=shift)
        return TrainConfig(network, pixels, self.stages, self.head, self.learn, augmented, self.only)


def config_names() -> list[str]:
    """Names of the recipes that come with radboost."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def read_config(path: Path) -> Asked:
    """Read a training's config file: TOML or JSON, or a recipe that comes with radboost, by its name alone.

    Top level: ``crop``, ``size``, ``stack``, ``schedule`` (a name) or tables ``[[stage]]``, and the sections
    ``[backbone]``, ``[head]``, ``[learn]``, ``[augment]`` and ``[only]`` with the fields of their classes. In
    ``[augment]`` ``preset`` names a recipe whose values stand for those that are not given.

    Raises
    ------
    UserError
        It cannot be read, or names what there is not.
    """
    if path.parent == Path() and not path.suffix and not path.is_file():
        path = _recipe(path.name, "--config", "Give a FILE.toml or .json, or one of")
    try:
        text = path.read_text("utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise UserError("cannot be read as a config", where=path, got=str(error)) from error
    content = checked(content, _TOP, str(path))
    parts: dict[str, Any] = {name: content[name] for name in ("crop", "size", "stack") if name in content}
    if parts.get("size", LEAST) < LEAST:
        raise UserError("size is out of range", where=path, got=parts["size"], do=f"Give {LEAST} pixels or more")
    hints = get_type_hints(BackboneConfig)
    backbone = checked(content.get("backbone", {}), {n: hints[n] for n in _BACKBONE}, f"{path} [backbone]")
    for name, kind in _SECTIONS.items():
        if name in content:
            own = _augmentation(content[name]) if name == "augment" else content[name]
            parts[name] = kind(**checked(own, kind, f"{path} [{name}]"))
    if "stage" in content and "schedule" in content:
        raise UserError("names a schedule and stages of its own", where=path, do="Leave one of the two out")
    if "stage" in content:
        parts["stages"] = stages_from(content["stage"], path)
    elif "schedule" in content:
        parts["stages"] = read_schedule(content["schedule"])
    return Asked(backbone=backbone, **parts)


def _recipe(name: str, where: str, do: str) -> Path:
    if name not in config_names():
        raise UserError("no recipe has this name", where=where, got=name, do=f"{do} {', '.join(config_names())}")
    return CONFIGS / f"{name}.toml"


def _augmentation(given: object) -> object:
    """Fill up what is given by a preset, where one is named."""
    if not isinstance(given, Mapping):
        return given
    own = dict(given)
    preset = own.pop("preset", None)
    if preset is None:
        return own
    path = _recipe(str(preset), "[augment] preset", "Give one of")
    return {**tomllib.loads(path.read_text("utf-8")).get("augment", {}), **own}
