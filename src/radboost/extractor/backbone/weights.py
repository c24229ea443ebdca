"""Weights as files and as fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch

from radboost.errors import WeightsError

__all__ = ["read_checkpoint", "weights_sha256"]

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which training scripts keep a state dict, the averaged one first."""
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.")
"""What wrapping a network puts before every key: data parallel, torch.compile, a Lightning module."""


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


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict, unwrapped and without prefixes.

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
    return _without_prefix(tensors)


def _without_prefix(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            return _without_prefix({name.removeprefix(prefix): tensor for name, tensor in state.items()})
    return state
