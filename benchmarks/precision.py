"""What lower precision does to embeddings: each family of backbones beside its own float32.

Run it as ``python benchmarks/precision.py``; on a machine with a GPU its precisions join. Weights are random, from a
seed: rounding is a matter of the architecture more than of the weights, but figures of trained weights may differ;
``--checkpoint NAME=FILE`` adds a network with weights of its own.

Two cosines are printed, each the least over the images. The plain one is what "agreement" means to most, and is close
to one for any two images of a network whose features are positive: the column "apart" says how close, as the cosine
between different images. The centred one, taken after the mean over the images is subtracted, is what a linear model
sees.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from radboost.extractor.backbone import Backbone, BackboneConfig, load_backbone
from radboost.nets.device import autocast, device_kind

FAMILIES = {
    "convnextv2_tiny": 224,
    "tf_efficientnetv2_b0": 224,
    "resnet50": 224,
    "resnetv2_50": 224,
    "seresnext50_32x4d": 224,
    "edgenext_small": 224,
    "vit_small_patch16_224": 224,
    "vit_small_patch14_dinov2": 224,
    "vit_base_patch16_siglip_224": 224,
    "swin_tiny_patch4_window7_224": 224,
}
AIM = 0.999
"""Of the plain cosine."""


def pictures(number: int, size: int, seed: int = 0) -> np.ndarray:
    """Draw power-law textures of different slope, brightness and contrast, (number, 3, size, size) in 0..1."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    drawn = np.empty((number, 3, size, size), np.float32)
    for k in range(number):
        spectrum = np.fft.rfft2(rng.normal(size=(size, size))) / (np.hypot(fy, fx) + 1 / size) ** rng.uniform(0.5, 2)
        texture = np.fft.irfft2(spectrum, s=(size, size))
        texture = (texture - texture.mean()) / texture.std()
        drawn[k] = np.clip(rng.uniform(0.2, 0.6) + rng.uniform(0.05, 0.25) * texture, 0, 1)
    return drawn


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow matrix products and convolutions in TF32, or forbid both."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def embed(backbone: Backbone, images: torch.Tensor, device: torch.device, precision: str) -> np.ndarray:
    """Embed as `extract` does: channels last, inference mode, autocast; (batch, width) float64."""
    backbone.model.to(device).to(memory_format=torch.channels_last)
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (backbone.mean, backbone.std))
    batch = ((images.to(device) - mean) / std).contiguous(memory_format=torch.channels_last)
    name = "fp32" if precision == "tf32" else precision
    with torch.inference_mode(), tf32(precision == "tf32"), autocast(device, name):
        vectors: np.ndarray = backbone.embed(batch)["avg"].double().cpu().numpy()
    return vectors


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each row of one with the same row of the other."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found: np.ndarray = (a * b).sum(1) / norms
    return found


def compare(name: str, backbone: Backbone, images: torch.Tensor, on_cpu: list[str]) -> float:
    """Print a network's rows; give its least cosine."""
    reference = embed(backbone, images, torch.device("cpu"), "fp32")
    centre = reference.mean(0)
    apart = cosines(reference, np.roll(reference, 1, axis=0)).max()
    runs = [(torch.device("cpu"), p) for p in on_cpu]
    if torch.cuda.is_available():
        runs += [(torch.device("cuda"), p) for p in ("fp32", "tf32", "bf16", "fp16")]
    least = 1.0
    for device, precision in runs:
        found = embed(backbone, images, device, precision)
        finite = np.isfinite(found).all()
        plain = cosines(reference, found).min() if finite else float("nan")
        centred = cosines(reference - centre, found - centre).min() if finite else float("nan")
        wide = np.abs(reference).max()
        row = f"{name:34s} {device.type:5s}{precision:5s} {plain:10.6f} {centred:10.6f} {apart:9.4f} {wide:9.3g}"
        print(row if finite else f"{row}  not finite", flush=True)
        least = min(least, plain if finite else -1.0)
    backbone.model.cpu()
    return least


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    parser.add_argument("--family", action="append", choices=FAMILIES, help="these only, repeat for several")
    parser.add_argument("--cpu", action="append", choices=("bf16", "fp16"), help="on the CPU (fp16 is slow) [bf16]")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="NAME=FILE", help="trained weights")
    options = parser.parse_args()
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in ("radboost", "torch", "timm", "numpy"))
    print(
        time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}, {libraries}"
    )
    devices = [device_kind(torch.device("cuda"))] if torch.cuda.is_available() else []
    print(f"{', '.join([torch.backends.cpu.get_cpu_capability(), *devices])}; {options.images} textures, pool avg\n")
    heads = " ".join(f"{head:>{n}s}" for head, n in (("cosine", 10), ("centred", 10), ("apart", 9), ("largest", 9)))
    print(f"{'':34s} {'':10s} {heads}")
    asked = [(name, name, FAMILIES[name], None) for name in options.family or FAMILIES]
    for each in options.checkpoint:
        name, _, file = each.partition("=")
        asked.append((f"{name}, trained", name, 224, Path(file)))
    least = {}
    for label, name, size, checkpoint in asked:
        seed = options.seed if checkpoint is None else None
        backbone = load_backbone(BackboneConfig(name, checkpoint, seed, size))
        least[label] = compare(
            label, backbone, torch.from_numpy(pictures(options.images, size)), options.cpu or ["bf16"]
        )
    below = [name for name, cosine in least.items() if cosine < AIM]
    print(f"\ncosine at least {AIM}: {'missed by ' + ', '.join(below) if below else 'reached by all'}")


if __name__ == "__main__":
    main()
