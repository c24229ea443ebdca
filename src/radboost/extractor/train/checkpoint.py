"""Checkpoints without pickle: tensors in safetensors, all else as JSON in that file's own header."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from radboost.data.folder import digest
from radboost.errors import FormatError, RadboostError
from radboost.extractor.backbone import weights_sha256

__all__ = ["SafeCheckpoint", "read_checkpoint_file", "write_checkpoint_file"]

_TENSOR, _TUPLE, _PAIRS, _FLOAT = "__tensor__", "__tuple__", "__pairs__", "__float__"

_DO = "Bring the file back, or delete the folder of the unfinished work and begin anew"


def write_checkpoint_file(content: dict[str, Any], path: Path) -> None:
    """Write nested dicts, lists and tuples of tensors, numbers, text and None, whole or not at all.

    Raises
    ------
    RadboostError
        Something in it is of another kind, or the disk is full.
    """
    tensors: dict[str, torch.Tensor] = {}
    state = json.dumps(_packed(content, tensors), allow_nan=False)
    sha256 = digest([state, weights_sha256(tensors)])
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata={"state": state, "sha256": sha256})
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise RadboostError("the checkpoint cannot be written", where=path, got=str(error)) from error


def read_checkpoint_file(path: Path) -> dict[str, Any]:
    """Read what `write_checkpoint_file` wrote.

    Raises
    ------
    FormatError
        It is no such file, or not the one that was written.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
        state, sha256 = header["state"], header["sha256"]
    except (OSError, KeyError, SafetensorError) as error:
        raise FormatError("cannot be read as a checkpoint", where=path, got=str(error), do=_DO) from error
    if digest([state, weights_sha256(tensors)]) != sha256:
        raise FormatError("is not the checkpoint that was written", where=path, do=_DO)
    content: dict[str, Any] = _unpacked(json.loads(state), tensors)
    return content


class SafeCheckpoint(CheckpointIO):
    """What pytorch-lightning writes and reads its checkpoints with."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write one."""
        write_checkpoint_file(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read one, onto the CPU."""
        return read_checkpoint_file(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Delete one, if it is there."""
        Path(path).unlink(missing_ok=True)


def _packed(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Bring a value to JSON, tensors aside under numbers."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {_PAIRS: [[_packed(k, tensors), _packed(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [_packed(each, tensors) for each in value]}
    if isinstance(value, list):
        return [_packed(each, tensors) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        # JSON knows neither infinity nor how to keep every bit.
        return {_FLOAT: value.hex()}
    if value is None or isinstance(value, bool | int | str):
        return value
    raise RadboostError("a checkpoint holds what is neither number, text nor tensor", got=type(value).__name__)


def _unpacked(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpacked(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == _TENSOR:
        return tensors[held]
    if kind == _FLOAT:
        return float.fromhex(held)
    if kind == _TUPLE:
        return tuple(_unpacked(each, tensors) for each in held)
    return {_unpacked(k, tensors): _unpacked(v, tensors) for k, v in held}
