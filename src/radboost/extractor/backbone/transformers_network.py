"""Vision models of the transformers library: RAD-DINO, MedSigLIP and the like. The only door to it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from huggingface_hub import constants, snapshot_download
from torch import nn

from radboost.errors import UserError, WeightsError, offenders
from radboost.extractor.backbone.config import TRANSFORMERS, BackboneConfig
from radboost.extractor.backbone.hub import with_pretrained
from radboost.extractor.backbone.network import Network
from radboost.extractor.backbone.pooling import Layout
from radboost.extractor.backbone.processor import processor_scaling, processor_size, read_processor
from radboost.extractor.backbone.weights import SETTINGS, folder_weights, read_checkpoint

__all__ = ["transformers_network", "transformers_size"]

SAFETENSORS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
TORCH_FILES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")


def transformers_network(config: BackboneConfig) -> Network:
    """Build a model of the transformers library without its head, see `load_backbone`."""
    library = _library(config.name)
    if config.stage is not None:
        raise UserError("gives no stages", where=config.name, got=f"--stage {config.stage}", do="Leave --stage out")
    own = config.random_init is None and (config.checkpoint is None or config.folder is not None)
    folder = _folder(config, weights=own)
    settings = _settings(library, folder, config.name)
    with _quiet(library):
        if config.random_init is not None:
            model = _seeded(library, settings, config.random_init, config.name)
        else:
            model = _trained(library, settings, (None if own else config.checkpoint) or folder, config.name)
    mean, std = processor_scaling(read_processor(folder), untrained=config.random_init is not None)
    patch = getattr(settings, "patch_size", None)
    side = max(patch) if isinstance(patch, list | tuple) else patch
    has_cls = any(name.rpartition(".")[2] in CLASS_TOKENS for name, _ in model.named_parameters())
    # Without a class token there is nothing before the patches; such networks also merge patches on their way.
    side = side if isinstance(side, int) else None
    return Network(
        _Features(model), mean, std, side, lambda features: _layout(features, config, side if has_cls else None)
    )


def transformers_size(config: BackboneConfig) -> int:
    """Give the side of the images that a model was made for: its image processor's, else its config's; pixels.

    Raises
    ------
    UserError
        It says nothing, or the extra is not installed.
    WeightsError
        The model cannot be had.
    """
    library = _library(config.name)
    folder = _folder(config, weights=False)
    processor = read_processor(folder)
    side = processor_size(processor) or getattr(_settings(library, folder, config.name), "image_size", None)
    side = max(side) if isinstance(side, list | tuple) else side
    if isinstance(side, int):
        return side
    raise UserError("does not say what size its images have", where=config.name, do="Give --size")


def _library(name: str) -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        do = "Install the extra `transformers`: pip install 'radboost[transformers]'"
        raise UserError("needs a library that is not installed", where=name, got=str(error), do=do) from error
    return transformers


@contextmanager
def _quiet(library: ModuleType) -> Iterator[None]:
    """Keep the library's bars and reports to itself; what matters in them is checked and told as an error."""
    talk = library.utils.logging
    level, bars = talk.get_verbosity(), talk.is_progress_bar_enabled()
    talk.set_verbosity(talk.CRITICAL)
    talk.disable_progress_bar()
    try:
        yield
    finally:
        talk.set_verbosity(level)
        if bars:
            talk.enable_progress_bar()


def _folder(config: BackboneConfig, *, weights: bool) -> Path:
    """Give the folder that holds a model: the checkpoint, or its place in the hub's cache."""
    if config.folder is not None:
        if weights and not folder_weights(config.folder):
            do = "Give a folder that save_pretrained wrote, or --random-init SEED"
            raise WeightsError("holds no weights", where=config.folder, do=do)
        return config.folder
    repository, _, revision = config.name.removeprefix(TRANSFORMERS).partition("@")

    def fetch() -> Path:
        def snapshot(*patterns: str) -> Path:
            return Path(
                snapshot_download(
                    repository,
                    revision=revision or None,
                    allow_patterns=list(patterns),
                    local_files_only=bool(constants.HF_HUB_OFFLINE),
                )
            )

        folder = snapshot(*SETTINGS, *(SAFETENSORS if weights else ()))
        if weights and not folder_weights(folder):
            folder = snapshot(*SETTINGS, *TORCH_FILES)
        if not (folder / "config.json").is_file() or (weights and not folder_weights(folder)):
            lack = "weights" if (folder / "config.json").is_file() else "config.json"
            raise FileNotFoundError(f"{repository} has no {lack}")
        return folder

    return with_pretrained(config.name, fetch)


def _settings(library: ModuleType, folder: Path, name: str) -> Any:
    """Read a model's config; of one that sees and reads, that of the part that sees."""
    try:
        with _quiet(library):
            # Code that comes with a model is never run.
            found = library.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        do = "Choose a model whose code is in the library: code from elsewhere is never run"
        got = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise UserError("transformers does not know the model", where=name, got=got, do=do) from error
    seeing = getattr(found, "vision_config", None) or found
    # A pooling head after the tokens would be neither used nor, in many checkpoints, trained.
    if hasattr(seeing, "vision_use_head"):
        seeing.vision_use_head = False
    return seeing


def _seeded(library: ModuleType, settings: Any, seed: int, name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model: nn.Module = library.AutoModel.from_config(settings, dtype=torch.float32, trust_remote_code=False)
        except (ValueError, TypeError) as error:
            raise _not_seeing(name, error) from error
    return _stripped(model, name)


def _trained(library: ModuleType, settings: Any, weights: Path, name: str) -> nn.Module:
    """Give a model the weights of a folder, or of a file; the library translates names of older releases."""
    with torch.device("meta"):
        kind: Any = type(_seeded(library, settings, 0, name))
    given: dict[str, Any] = {"pretrained_model_name_or_path": weights}
    if not weights.is_dir():
        given = {"pretrained_model_name_or_path": None, "state_dict": read_checkpoint(weights)}
    try:
        model, told = kind.from_pretrained(
            **given,
            config=settings,
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=True,
            weights_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever a damaged or foreign file makes its reader raise is told here, at the door
        got = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        do = "Fetch the model again, or name the model that the file was trained with"
        raise WeightsError("its weights cannot be loaded", where=name, got=got, do=do) from error
    model = _stripped(model, name)
    own = model.state_dict().keys()
    # What was missing is random now; what is left over of the same parts is of a larger network.
    parts = {key.partition(".")[0] for key in own}
    bases = ("vision_model.", f"{kind.base_model_prefix}.")
    wrong = [f"no {key}" for key in told["missing_keys"] if key in own]
    for key in told["unexpected_keys"]:
        base = next((b for b in bases if len(b) > 1 and key.startswith(b)), "")
        if key.removeprefix(base).partition(".")[0] in parts:
            wrong.append(f"unknown {key}")
    if wrong:
        do = "Choose a model that is made to see, or name the model that the file was trained with"
        raise WeightsError("its weights do not fit the backbone", where=name, got=offenders(sorted(wrong)), do=do)
    return model


def _not_seeing(name: str, error: Exception | None = None) -> UserError:
    got = str(error).splitlines()[0][:160] if error is not None and str(error) else None
    return UserError("is no vision model", where=name, got=got, do="Choose another --backbone")


def _stripped(model: nn.Module, name: str) -> nn.Module:
    if getattr(model, "main_input_name", None) != "pixel_values":
        raise _not_seeing(name)
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
        setattr(model, "pooler", None)  # noqa: B010 - mypy knows no None there
    return model


def _layout(features: torch.Tensor, config: BackboneConfig, patch: int | None) -> Layout:
    """Tell patches from what stands before them; `patch` is None where there is no class token."""
    if features.ndim != 3 or config.size is None:
        return Layout()
    tokens = features.shape[1]
    # Square images have a square of patches, however often they were merged on their way.
    prefix = 0 if patch is None else tokens - (config.size // patch) ** 2
    if math.isqrt(tokens - prefix) ** 2 != tokens - prefix or (patch is not None and prefix < 1):
        do = "Choose another --backbone"
        raise UserError("gives tokens that are no square of patches", where=config.name, got=tokens, do=do)
    return Layout(prefix=prefix, has_cls=prefix > 0)


class _Features(nn.Module):
    """A model of the library that takes images and gives features only."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # Else some refuse every size but the one they were trained with.
        accepts = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
        self.arguments = {"interpolate_pos_encoding": True} if accepts else {}
        # CLIP normalises its class token only, after the features are given out.
        kind = getattr(getattr(model, "config", None), "model_type", None)
        self.norm = "post_layernorm" if kind == "clip_vision_model" else None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Give the last hidden state, normalised."""
        features: torch.Tensor = self.model(pixel_values=images, **self.arguments).last_hidden_state
        if self.norm is None:
            return features
        normalised: torch.Tensor = getattr(self.model, self.norm)(features)
        return normalised
