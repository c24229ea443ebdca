"""Build a backbone by name and give it its weights."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import nn

from radboost.errors import UserError, WeightsError, offenders
from radboost.extractor.backbone.config import BackboneConfig
from radboost.extractor.backbone.hub import with_pretrained
from radboost.extractor.backbone.pooling import Layout, pooled
from radboost.extractor.backbone.weights import read_checkpoint, weights_sha256

__all__ = ["Backbone", "load_backbone"]

HUB = ("hf-hub:", "hf_hub:", "local-dir:")


@dataclass(frozen=True)
class Backbone:
    """A frozen network: the weights, how its input is scaled, and what tells it from any other.

    Attributes
    ----------
    config
        What was asked for.
    model
        In evaluation mode, without gradients, without head.
    mean, std
        Of the three input channels, on pixels scaled to 0..1.
    layout
        Of its features.
    widths
        Pool name to length of the vector.
    weights_sha256
        Over the tensors that the forward pass uses.
    """

    config: BackboneConfig
    model: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: Layout
    widths: dict[str, int]
    weights_sha256: str

    def identifier(self) -> dict[str, object]:
        """Tell it from any other backbone, JSON-able, for the fingerprint of a store."""
        return {
            "name": self.config.name,
            "weights_sha256": self.weights_sha256,
            "mean": list(self.mean),
            "std": list(self.std),
            "pools": list(self.config.pool),
            "stage": self.config.stage,
        }

    def embed(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Embed normalised images.

        Parameters
        ----------
        images
            (batch, 3, size, size) float32, already scaled by `mean` and `std`, on the model's device.

        Returns
        -------
        dict
            Pool name to (batch, width) float32.
        """
        return pooled(_features(self.model, images), self.layout, self.config.pool)


def load_backbone(config: BackboneConfig) -> Backbone:
    """Build a backbone on the CPU.

    Raises
    ------
    UserError
        timm knows no such model, or it does not take images of this size, or it lacks a pooling.
    WeightsError
        Its weights cannot be had, or do not fit it.
    """
    _known(config.name)
    if config.random_init is not None:
        model = _seeded(config, config.random_init)
    elif config.checkpoint is not None:
        model = _seeded(config, 0)
        _load_checkpoint(model, config)
    else:
        model = _pretrained(config)
    settings: dict[str, Any] = timm.data.resolve_model_data_config(model)  # type: ignore[attr-defined, no-untyped-call]
    reset: Callable[..., None] = model.reset_classifier  # type: ignore[assignment]
    try:
        # Without its pooling the network gives the feature map, final normalisation included.
        reset(0, "")
    except (AssertionError, TypeError):
        reset(0)
    if config.stage is not None:
        model = _Stage(model, config)
    model.eval().requires_grad_(False)
    layout, widths = _probe(model, config)
    mean, std = (tuple(float(v) for v in settings[name]) for name in ("mean", "std"))
    return Backbone(config, model, mean, std, layout, widths, weights_sha256(model.state_dict()))


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
    if name.startswith(HUB):
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
    settings = None if config.name.startswith(HUB) else timm.models.get_pretrained_cfg(config.name)
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
            raise _size_error(config, error) from error
    raise _size_error(config, TypeError("takes no image size"))


def _size_error(config: BackboneConfig, error: Exception) -> UserError:
    got = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
    do = "Give --size a multiple of the network's patch, or another backbone"
    return UserError(f"cannot be built for images of {config.size} pixels", where=config.name, got=got, do=do)


def _seeded(config: BackboneConfig, seed: int) -> nn.Module:
    def build() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _build(config, pretrained=False)

    # A model on the hub has its architecture there, whatever its weights.
    return with_pretrained(config.name, build) if config.name.startswith(HUB) else build()


def _pretrained(config: BackboneConfig) -> nn.Module:
    if not config.name.startswith(HUB):
        settings = timm.models.get_pretrained_cfg(config.name)
        if settings is None or not settings.has_weights:
            do = "Give --checkpoint FILE or --random-init SEED, or name a tag that timm.list_pretrained() knows"
            raise WeightsError("timm has no pretrained weights for this model", where=config.name, do=do)
    return with_pretrained(config.name, lambda: _build(config, pretrained=True))


def _load_checkpoint(model: nn.Module, config: BackboneConfig) -> None:
    path = config.checkpoint
    if path is None:
        return
    state = _without_head(model, read_checkpoint(path))
    wrong = _fit(model, state)
    adapt: Callable[..., dict[str, torch.Tensor]] | None
    adapt = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if wrong and adapt is not None:
        # timm's own translation of other key names and of position embeddings for another size.
        try:
            wrong = _fit(model, _without_head(model, adapt(dict(state), model)))
        except (KeyError, IndexError, RuntimeError, AttributeError) as error:
            wrong = [*wrong, f"not convertible: {error}"]
    if wrong:
        do = f"Name the architecture that the file was trained with, instead of {config.name}"
        raise WeightsError("its weights do not fit the backbone", where=path.name, got=offenders(wrong), do=do)


def _without_head(model: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Leave out the keys of a classifier: those that the headless model lacks."""
    named = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    heads = (*((named,) if isinstance(named, str) else named), "head", "fc", "classifier", "last_linear")
    own = model.state_dict().keys()
    return {k: v for k, v in state.items() if k in own or not k.startswith(tuple(f"{h}." for h in heads))}


def _fit(model: nn.Module, state: dict[str, torch.Tensor]) -> list[str]:
    """Load a state dict and say what is wrong with it; nothing is loaded where anything is wrong."""
    own = model.state_dict()
    # Counters that PyTorch added in 0.4.1 and that evaluation does not read.
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    wrong = [f"no {k}" for k in missing] + [f"unknown {k}" for k in state if k not in own]
    wrong += [
        f"{k} is {tuple(v.shape)}, not {tuple(own[k].shape)}"
        for k, v in state.items()
        if k in own and v.shape != own[k].shape
    ]
    if not wrong:
        model.load_state_dict(state, strict=False)
    return wrong


def _features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    features: torch.Tensor = model(images)
    if features.ndim == 2:  # a network that pools on its own, whatever it is told
        features = model.forward_features(images)  # type: ignore[operator]
    return features


def _refuse_margin(model: nn.Module, config: BackboneConfig) -> None:
    """Refuse a size that is no multiple of the patch: the network would leave the last columns and rows unseen."""
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    side = max(patch) if isinstance(patch, tuple) else patch
    if isinstance(side, int) and config.size % side:
        fits = config.size // side * side
        do = f"Give --size {fits or side} or {fits + side}"
        raise UserError(f"sees patches of {side} pixels", where=config.name, got=f"--size {config.size}", do=do)


def _probe(model: nn.Module, config: BackboneConfig) -> tuple[Layout, dict[str, int]]:
    """Find layout and widths with one blank image."""
    _refuse_margin(model, config)
    try:
        with torch.inference_mode():
            features = _features(model, torch.zeros(1, 3, config.size, config.size))
    except (AssertionError, ValueError, RuntimeError) as error:
        raise _size_error(config, error) from error
    if not torch.is_tensor(features) or features.ndim not in (3, 4):
        raise UserError("gives no feature map to pool", where=config.name, do="Choose another --backbone")
    layout = Layout(
        channels_last=features.ndim == 4 and str(getattr(model, "output_fmt", "")).endswith("NHWC"),
        prefix=int(getattr(model, "num_prefix_tokens", 0) or 0) if features.ndim == 3 else 0,
        has_cls=features.ndim == 3 and getattr(model, "cls_token", None) is not None,
    )
    vectors = pooled(features, layout, config.pool)
    return layout, {name: int(vector.shape[1]) for name, vector in vectors.items()}
