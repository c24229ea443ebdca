"""Embeddings of crops from reduced JPEG 2000 decoding beside those from full decoding, per backbone.

Run it as ``python benchmarks/reduced.py``; ``--checkpoint NAME=FILE`` adds a network with weights of its own. Films are
JPEG 2000 mammograms given with ``--films`` and phantoms written here. Cosines of untrained networks are close to one
for any two pictures, so three more figures stand beside the plain one: the cosine after the mean embedding of all films
was taken off, the same for two ordinary ways to shrink a fully decoded film (area means and Lanczos), and the
largest cosine between two different films, which is what "alike" has to be compared with.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.dicom import DicomImage, read_header, write_dicom
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.render import load, render
from radboost.extractor.backbone import BackboneConfig, load_backbone

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
FILMS = (SHARED / "mg" / "MG1_J2KI.dcm", SHARED / "mg" / "RG2_J2KR.dcm")
NETWORKS = ("convnextv2_atto", "resnet18", "tf_efficientnet_lite0", "vit_tiny_patch16_224", "vit_small_patch14_dinov2")


def crops(paths: list[Path], size: int) -> dict[str, np.ndarray]:
    """Crops (films, size, size) uint16 of each way, and how many halvings the first way used."""
    out = {way: np.zeros((len(paths), 1, size, size), np.uint16) for way in ("reduced", "full", "lanczos")}
    out["halved"] = np.zeros(len(paths), int)
    for number, path in enumerate(paths):
        job = CropJob(str(path))
        out["halved"][number] = render(job, PixelPolicy.of("frame", size), out["reduced"][number]).reduce
        whole = PixelPolicy.of("frame", size, full_decode=True)
        info = render(job, whole, out["full"][number])
        rows, columns = info.shape
        long = max(rows, columns)
        square = np.zeros((1, long, long), np.uint16)
        render(job, PixelPolicy.of("frame", long, full_decode=True), square)
        film = Image.fromarray(square[0].astype(np.float32))
        small = np.asarray(film.resize((size, size), Image.Resampling.LANCZOS))
        out["lanczos"][number, 0] = np.clip(np.round(small), 0, 65535)
    return out


def as_jpeg2000(path: Path) -> Path:
    """Write a phantom film again, as lossless JPEG 2000, its window from the 1st to the 99.9th percentile."""
    frame, header = load(path), read_header(path)
    low, high = np.percentile(frame.pixels, (1, 99.9))
    window = ((float(low + high) / 2, float(high - low)),)
    image = DicomImage(frame.pixels, header.bits_stored, header.photometric, "JPEG2000Lossless", window)
    write_dicom(path, image)
    return path


def embed(network: str, checkpoint: Path | None, pictures: dict[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """Embeddings (films, width) float64 of each way."""
    weights = {"checkpoint": checkpoint} if checkpoint else {"random_init": 0}
    backbone = load_backbone(BackboneConfig(network, size=size, **weights))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (backbone.mean, backbone.std))
    found = {}
    for way in ("reduced", "full", "lanczos"):
        with torch.inference_mode():
            grey = torch.from_numpy(pictures[way].astype(np.float32) / 65535).expand(-1, 3, -1, -1)
            found[way] = backbone.embed((grey - mean) / std)["avg"].double().numpy()
    return found


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each row of `a` with the same row of `b`."""
    return (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-30)


def main() -> None:
    """Print a row a network and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=Path, nargs="*", default=[p for p in FILMS if p.is_file()])
    parser.add_argument("--phantoms", type=int, default=6, help="patients of the phantom, four films each")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 224])
    asked = parser.parse_args()
    given = {name: Path(path) for name, _, path in (text.partition("=") for text in asked.checkpoint)}
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("radboost", "torch", "timm", "pillow"))
    print(f"{platform.machine()} Python {platform.python_version()}, {versions}")
    with tempfile.TemporaryDirectory() as folder:
        write_rsna_breast(Path(folder), BreastPhantom(patients=asked.phantoms, seed=3, pixels=3072))
        paths = [*asked.films, *(as_jpeg2000(path) for path in sorted(Path(folder).rglob("*.dcm")))]
        for size in asked.sizes:
            pictures = crops(paths, size)
            kept = pictures["halved"] > 0
            print(f"\n{size} px: {kept.sum()} films of {len(paths)} decoded smaller, least and median over them")
            print(f"{'':38}{'cosine':>16}{'centred':>16}{'two filters':>16}{'other films':>12}")
            for name, checkpoint in [*given.items(), *((n, None) for n in NETWORKS)]:
                if "patch" in name and checkpoint is None and size % int(name.split("patch")[1].split("_")[0]):
                    continue
                found = {way: e[kept] for way, e in embed(name, checkpoint, pictures, size).items()}
                middle = found["full"].mean(axis=0)
                plain = cosine(found["reduced"], found["full"])
                centred = cosine(found["reduced"] - middle, found["full"] - middle)
                filters = cosine(found["lanczos"] - middle, found["full"] - middle)
                unit = found["full"] - middle
                unit /= np.linalg.norm(unit, axis=1, keepdims=True)
                others = np.max(unit @ unit.T - 2 * np.eye(len(unit)))
                pairs = "".join(f"{v.min():8.5f}{np.median(v):8.5f}" for v in (plain, centred, filters))
                print(f"{name + (', trained' if checkpoint else ', untrained'):38}{pairs}{others:12.5f}", flush=True)


if __name__ == "__main__":
    main()
