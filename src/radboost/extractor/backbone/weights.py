"""Weights as files and as fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from radboost.data.folder import file_sha256, read_json
from radboost.errors import WeightsError

__all__ = ["checkpoint_sha256", "fit_weights", "folder_weights", "read_checkpoint", "weights_sha256"]

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which training scripts keep a state dict, the averaged one first."""
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.")
"""What wrapping a network puts before every key: data parallel, torch.compile, a Lightning module."""
_LAST = "last.weight"
"""Of a network that `radboost train` wrote: its head's last layer, beside the backbone under ``model.``."""
SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")
"""What a folder of a transformers model says beside its weights."""


def weights_sha256(state: Mapping[str, torch.Tensor]) -> str:
    """Sha256 over names, types, shapes and bytes of a state dict's tensors, in order of name.

    The same weights hash alike whichever file they came from.
    """
    hashed = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # Viewed as bytes, since numpy knows no bfloat16; a scalar needs a dimension to be viewed.
        hashed.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def folder_weights(folder: Path) -> list[Path]:
    """Find the files of weights in a folder of a transformers model: safetensors, else those that torch wrote."""
    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        found = sorted(folder.glob(pattern))
        if found:
            return found
    return []


def checkpoint_sha256(path: Path, *, weights: bool = True) -> str:
    """Sha256 of a file of weights, or over the files of a transformers model's folder.

    Parameters
    ----------
    path
        File, or folder of a transformers model or a training.
    weights
        Whether a folder's weights count, or its settings only.

    Raises
    ------
    WeightsError
        It cannot be read.
    """
    try:
        if not path.is_dir():
            return file_sha256(path)
        if (path / "training.json").is_file():
            return _training_sha256(path)
        files = [path / name for name in SETTINGS if (path / name).is_file()]
        files += folder_weights(path) if weights else []
        listed = "".join(f"{file.name} {file_sha256(file)}\n" for file in files)
    except OSError as error:
        do = "Give a file to --checkpoint"
        raise WeightsError("cannot be read", where=path, got=error.strerror, do=do) from error
    return hashlib.sha256(listed.encode()).hexdigest()


def _training_sha256(folder: Path) -> str:
    """Sha256 over the hashes of a training's networks, as its header has them."""
    listed = "".join(f"{n['fold']} {n['weights_sha256']}\n" for n in read_json(folder / "training.json")["networks"])
    return hashlib.sha256(listed.encode()).hexdigest()


def read_checkpoint(path: Path, *, unwrap: bool = True) -> dict[str, torch.Tensor]:
    """Read a state dict, unwrapped and without prefixes; or, without `unwrap`, with the names that it has.

    Raises
    ------
    WeightsError
        The file is missing, is no checkpoint, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            content: object = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file makes its reader raise is told here, at the door
        got = str(error).splitlines()[0] if str(error) else type(error).__name__
        do = "Give a .safetensors file, or a .pt or .pth file that holds a state dict of tensors only"
        raise WeightsError("cannot be read as weights", where=path, got=got, do=do) from error
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    tensors = {str(k): v for k, v in content.items() if torch.is_tensor(v)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise WeightsError("holds no state dict", where=path, got=type(content).__name__)
    if not unwrap:
        return tensors
    if _LAST in tensors:
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith("model.")} or tensors
    return _without_prefix(tensors)


def _without_prefix(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            return _without_prefix({name.removeprefix(prefix): tensor for name, tensor in state.items()})
    return state


def fit_weights(model: nn.Module, state: Mapping[str, torch.Tensor], heads: tuple[str, ...]) -> list[str]:
    """Load a state dict and say what is wrong with it; nothing is loaded where anything is wrong.

    Parameters
    ----------
    model
        Without head.
    state
        Name to tensor.
    heads
        First parts of the names that may be left over: those of a classifier that the model lacks.

    Returns
    -------
    list
        What is missing, unknown or of another shape; empty where the weights are loaded.
    """
    own = model.state_dict()
    state = {k: v for k, v in state.items() if k in own or not k.startswith(tuple(f"{h}." for h in heads))}
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
