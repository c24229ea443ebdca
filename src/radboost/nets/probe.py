"""What torch can compute on: the GPUs, their driver, and whether a sum on each comes out right."""

from __future__ import annotations

import warnings

import torch

from radboost.data.probe import Probe, State

__all__ = ["probe_gpu"]

AREA = "GPU"


def probe_gpu() -> list[Probe]:
    """Look at CUDA as torch sees it; without a GPU everything runs on the CPU, so that none is needed."""
    built = torch.version.cuda
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    driver = _driver()
    if not there:
        said = f": {str(told[0].message)[:160]}" if told else ""
        if built is None:
            detail = "none can be used: this torch is built for the CPU alone"
            return [Probe(AREA, "CUDA", State.absent, detail, "A torch built for CUDA would extract on the GPU")]
        detail = f"none found; torch is built for CUDA {built}, {driver or 'no driver answers'}{said}"
        return [Probe(AREA, "CUDA", State.absent, detail, "With an NVIDIA GPU and its driver, extract runs there")]
    found = [Probe(AREA, "CUDA", State.works, f"torch is built for CUDA {built}, {driver or 'driver unknown'}")]
    return found + [_probe_one(number) for number in range(torch.cuda.device_count())]


def _driver() -> str:
    """Newest CUDA that the driver serves, as text; empty where torch does not tell."""
    ask = getattr(torch._C, "_cuda_getDriverVersion", None)
    try:
        version = int(ask()) if ask else 0
    except RuntimeError:
        return ""
    return f"the driver serves CUDA {version // 1000}.{version % 1000 // 10}" if version else ""


def _probe_one(number: int) -> Probe:
    device = torch.device("cuda", number)
    try:
        name = torch.cuda.get_device_name(device)
        free, total = torch.cuda.mem_get_info(device)
        # What is looked for is a kernel that was never built for this card: it fails here and nowhere earlier.
        right = float(torch.arange(8, device=device, dtype=torch.float32).sum()) == 28.0
        major, minor = torch.cuda.get_device_capability(device)
        kinds = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    except RuntimeError as error:
        reason = str(error).split("\n")[0][:160]
        return Probe(AREA, f"cuda:{number}", State.broken, reason, "Use --device cpu, or a torch built for this card")
    detail = f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free, capability {major}.{minor}, {kinds}"
    return Probe(AREA, f"cuda:{number}", State.works if right else State.broken, detail)
