"""Models of timm: by name, from the hub, from a file."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import nn

from radboost.errors import UserError, WeightsError, offenders
from radboost.extractor.backbone.config import HF_HUB, BackboneConfig
from radboost.extractor.backbone.hub import with_pretrained
from radboost.extractor.backbone.network import Network, size_error
from radboost.extractor.backbone.pooling import Layout
from radboost.extractor.backbone.shipped import SHIPPED, read_card, shipped_state
from radboost.extractor.backbone.weights import fit_weights, read_checkpoint

__all__ = ["timm_network", "timm_size"]


def timm_network(config: BackboneConfig) -> Network:
    """Build a timm model without its head, see `load_backbone`."""
    _known(config.name)
    if config.random_init is not None:
        model = _seeded(config, config.random_init)
    elif config.checkpoint is not None:
        model = _seeded(config, 0)
        _load_checkpoint(model, config)
    else:
        model = _pretrained(config)
    settings: dict[str, Any] = timm.data.resolve_model_data_config(model)  # type: ignore[attr-defined, no-untyped-call]
    if config.name.startswith(SHIPPED):
        card = read_card(config.name)
        settings = {"mean": card.mean, "std": card.std}
    _behead(model, config.name)
    if config.stage is not None:
        model = _Stage(model, config)
    mean, std = (tuple(float(v) for v in settings[name]) for name in ("mean", "std"))
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    side = max(patch) if isinstance(patch, tuple) else patch
    return Network(model, mean, std, side if isinstance(side, int) else None, lambda found: _layout(model, found))


def timm_size(config: BackboneConfig) -> int:
    """Give the side of the images that a model was made for: those it was tested with, else trained with; pixels.

    Raises
    ------
    UserError
        timm knows no such model.
    WeightsError
        A model on the hub cannot be had.
    """
    _known(config.name)
    if config.name.startswith(SHIPPED):
        return read_card(config.name).size
    if config.name.startswith(HF_HUB):
        repository = config.name.removeprefix(HF_HUB)
        settings: Any = with_pretrained(config.name, lambda: timm.models.load_model_config_from_hf(repository))[0]
        shapes = [settings.get("test_input_size"), settings.get("input_size")]
    else:
        settings = timm.models.get_pretrained_cfg(config.name)
        shapes = [getattr(settings, "test_input_size", None), getattr(settings, "input_size", None)]
    shape = next((s for s in shapes if s), None)
    if shape is None:
        raise UserError("does not say what size its images have", where=config.name, do="Give --size")
    return max(int(side) for side in shape[1:])


def _behead(model: nn.Module, name: str) -> None:
    reset: Callable[..., None] = model.reset_classifier  # type: ignore[assignment]
    try:
        # Without its pooling the network gives the feature map, final normalisation included.
        reset(0, "")
    except (AssertionError, TypeError):
        reset(0)
    get: Callable[[], Any] = model.get_classifier  # type: ignore[assignment]
    left = get()
    for head in left if isinstance(left, tuple | list) else (left,):
        if isinstance(head, nn.Module) and any(True for _ in head.parameters()):
            do = "Choose another --backbone: logits are no embedding"
            raise UserError("does not let go of its classifier", where=name, got=type(head).__name__, do=do)


def _layout(model: nn.Module, features: torch.Tensor) -> Layout:
    return Layout(
        channels_last=features.ndim == 4 and str(getattr(model, "output_fmt", "")).endswith("NHWC"),
        prefix=int(getattr(model, "num_prefix_tokens", 0) or 0) if features.ndim == 3 else 0,
        has_cls=features.ndim == 3 and getattr(model, "cls_token", None) is not None,
    )


class _Stage(nn.Module):
    """A network up to one of its stages; gives a map (batch, channels, height, width) whatever its own layout."""

    def __init__(self, model: nn.Module, config: BackboneConfig) -> None:
        super().__init__()
        self.stage = config.stage
        try:
            prune: Callable[..., object] = model.prune_intermediate_layers  # type: ignore[assignment]
            prune([self.stage], prune_norm=True, prune_head=True)
        except AttributeError as error:
            do = "Leave --stage out, or choose another --backbone"
            raise UserError("timm gives no stages of this model", where=config.name, do=do) from error
        except (AssertionError, ValueError, IndexError) as error:
            raise UserError("has no such stage", where=config.name, got=self.stage, do=str(error)) from error
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Run the stages up to the one asked for."""
        run: Callable[..., list[torch.Tensor]] = self.model.forward_intermediates  # type: ignore[assignment]
        return run(images, indices=[self.stage], stop_early=True, intermediates_only=True)[0]


def _known(name: str) -> None:
    if name.startswith(HF_HUB):
        return
    if name.startswith(SHIPPED):
        read_card(name)
        return
    if timm.is_model(name):
        try:
            timm.models.get_pretrained_cfg(name)
        except RuntimeError as error:
            architecture = name.split(".")[0]
            do = f"Tags: {', '.join(timm.list_pretrained(f'{architecture}.*')) or 'none'}"
            raise UserError("timm knows the model but not the tag", where="--backbone", got=name, do=do) from error
        return
    close = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=4, cutoff=0.4)
    do = f"Did you mean {', '.join(close)}?" if close else "timm.list_models() names them all"
    raise UserError("timm knows no such model", where="--backbone", got=name, do=do)


def _build(config: BackboneConfig, *, pretrained: bool) -> nn.Module:
    if config.name.startswith(SHIPPED):
        card = read_card(config.name)
        return timm.create_model(card.architecture, pretrained=False, num_classes=0, **card.arguments)
    settings = None if config.name.startswith(HF_HUB) else timm.models.get_pretrained_cfg(config.name)
    # Networks with position embeddings are built for one size; convolutional ones take any, and know no such argument.
    sized = settings is None or settings.fixed_input_size
    attempts: list[dict[str, Any]] = [{"img_size": config.size}, {}] if sized else [{}]
    for arguments in attempts:
        try:
            return timm.create_model(config.name, pretrained=pretrained, num_classes=0, **arguments)
        except TypeError:
            if not arguments:
                raise
        except (AssertionError, ValueError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and pretrained:
                raise WeightsError("its weights do not fit", where=config.name, got=str(error)[:160]) from error
            raise size_error(config.name, config.size, error) from error
    raise size_error(config.name, config.size, TypeError("takes no image size"))


def _seeded(config: BackboneConfig, seed: int) -> nn.Module:
    def build() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _build(config, pretrained=False)

    # A model on the hub has its architecture there, whatever its weights.
    return with_pretrained(config.name, build) if config.name.startswith(HF_HUB) else build()


def _pretrained(config: BackboneConfig) -> nn.Module:
    if config.name.startswith(SHIPPED):
        model = _seeded(config, 0)
        model.load_state_dict(shipped_state(config.name))
        return model
    if not config.name.startswith(HF_HUB):
        settings = timm.models.get_pretrained_cfg(config.name)
        if settings is None or not settings.has_weights:
            do = "Give --checkpoint FILE or --random-init SEED, or name a tag that timm.list_pretrained() knows"
            raise WeightsError("timm has no pretrained weights for this model", where=config.name, do=do)
    return with_pretrained(config.name, lambda: _build(config, pretrained=True))


def _load_checkpoint(model: nn.Module, config: BackboneConfig) -> None:
    path = config.checkpoint
    if path is None:
        return
    named = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    heads = (*((named,) if isinstance(named, str) else named), "head", "fc", "classifier", "last_linear")
    state = read_checkpoint(path)
    wrong = fit_weights(model, state, heads)
    adapt: Callable[..., dict[str, torch.Tensor]] | None
    adapt = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if wrong and adapt is not None:
        # timm's own translation of other key names and of position embeddings for another size.
        try:
            wrong = fit_weights(model, adapt(dict(state), model), heads)
        except (KeyError, IndexError, RuntimeError, AttributeError) as error:
            wrong = [*wrong, f"not convertible: {error}"]
    if wrong:
        do = f"Name the architecture that the file was trained with, instead of {config.name}"
        raise WeightsError("its weights do not fit the backbone", where=path.name, got=offenders(wrong), do=do)
