"""Where tensors live, and in which precision they are multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from radboost.errors import UserError

__all__ = ["PRECISIONS", "autocast", "device_kind", "one_thread", "resolve_device", "resolve_precision"]

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Name on the command line to the dtype of matrix products."""


def resolve_device(name: str = "auto") -> torch.device:
    """Choose a device.

    Parameters
    ----------
    name
        ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    UserError
        The name is unknown, or CUDA is asked for where there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise UserError("unknown device", where="--device", got=name, do="Give auto, cpu, cuda or cuda:N")
    if kind == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        do = "Use --device cpu, or install a torch built for CUDA and check the driver"
        raise UserError("no CUDA device can be used", where="--device", got=name, do=do)
    if index and int(index) >= count:
        raise UserError("no such CUDA device", where="--device", got=name, do=f"There are {count}, counted from 0")
    return torch.device(name)


def device_kind(device: torch.device) -> str:
    """Name the kind of device for records: the GPU's model, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def resolve_precision(name: str, device: torch.device) -> str:
    """Choose a precision: ``auto`` is fp32 on the CPU, and bf16 (fp16 on cards without it) on CUDA.

    Raises
    ------
    UserError
        The name is unknown.
    """
    if name == "auto":
        if device.type == "cpu":
            return "fp32"
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if name not in PRECISIONS:
        do = f"Give auto, {', '.join(PRECISIONS)}"
        raise UserError("unknown precision", where="--precision", got=name, do=do)
    return name


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Enter the precision for matrix products; fp32 leaves tensors as they are."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[precision])


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread while the block runs, so that sums come out the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
