"""What the network that comes with radboost tells of phantom breasts that it has not seen, beside untrained networks.

Run it as ``python benchmarks/shipped.py``. Views are rendered, cut to the breast, brought to 320 pixels and embedded,
mean and maximum over space, by the shipped network, by earlier stages of it, by the same network untrained, and by the
first stage of an untrained resnet18. Features of a breast are the mean of its views'; a logistic model on 64 principal
components predicts cancer in five folds by patient. Printed are AUCs, means of three deals of the folds.
"""

from __future__ import annotations

import argparse
import platform
import warnings
from datetime import UTC, datetime
from importlib import metadata

import cv2
import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from radboost.data.phantom.breast import BreastPhantom, draw_patient, render_view
from radboost.extractor.backbone import BackboneConfig, load_backbone
from radboost.metrics import auc

SIDE = 320
NETWORKS: dict[str, BackboneConfig] = {
    name: BackboneConfig(network, random_init=seed, size=SIDE, pool=("avg", "max"), stage=stage)
    for name, network, seed, stage in (
        ("shipped", "radboost:phantom", None, None),
        ("shipped, stage 1", "radboost:phantom", None, 1),
        ("shipped, stage 2", "radboost:phantom", None, 2),
        ("shipped, stage 3", "radboost:phantom", None, 3),
        ("the same, untrained", "radboost:phantom", 0, None),
        ("its stage 1, untrained", "radboost:phantom", 0, 1),
        ("resnet18's first stage, untrained", "resnet18", 0, 1),
    )
}


def views(phantom: BreastPhantom) -> tuple[np.ndarray, list[tuple[int, str]], dict[tuple[int, str], bool]]:
    """Views (n, side, side) in 0..1, the breast of each, and which breasts have cancer."""
    shown, of, cancer = [], [], {}
    for number in range(phantom.patients):
        patient = draw_patient(phantom, number)
        for view in patient.views:
            made = render_view(patient, view, phantom.pixels)
            box = made.breast
            cut = made.display()[box.y0 : box.y1, box.x0 : box.x1]
            scale = SIDE / max(cut.shape)
            small = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:SIDE, :SIDE]
            shown.append(np.pad(small, [(0, SIDE - n) for n in small.shape]))
            of.append((number, view.laterality))
            cancer[of[-1]] = patient.breasts[view.laterality].cancer
    return np.stack(shown), of, cancer


def embedded(config: BackboneConfig, shown: np.ndarray) -> np.ndarray:
    """Mean and maximum over space, side by side."""
    network = load_backbone(config)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (network.mean, network.std))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(shown), 20):
            images = torch.from_numpy(shown[start : start + 20])[:, None].repeat(1, 3, 1, 1)
            parts.append(np.hstack([v.numpy() for v in network.embed((images - mean) / std).values()]))
    return np.concatenate(parts)


def told(features: np.ndarray, label: np.ndarray, group: np.ndarray, penalty: float) -> float:
    """Out-of-fold AUC, the mean of three deals."""
    found = []
    for deal in range(3):
        shuffled = np.random.default_rng(deal).permutation(group.max() + 1)[group]
        p = np.zeros(len(label))
        for train, held in GroupKFold(5).split(features, label, shuffled):
            columns = min(64, features.shape[1])
            model = make_pipeline(StandardScaler(), PCA(columns), LogisticRegression(C=penalty, max_iter=500))
            p[held] = model.fit(features[train], label[train]).predict_proba(features[held])[:, 1]
        found.append(auc(label.astype(int), p))
    return float(np.mean(found))


def main() -> None:
    """Print an AUC for each network and penalty."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--seed", type=int, default=31)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    libraries = ("radboost", "torch", "timm", "scikit-learn", "numpy")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in libraries)
    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()} Python {platform.python_version()}, {versions}")
    shown, of, cancer = views(BreastPhantom(options.patients, seed=options.seed, pixels=768))
    breasts = sorted(cancer)
    label, group = np.array([cancer[b] for b in breasts]), np.array([b[0] for b in breasts])
    print(f"{len(shown)} views of {len(breasts)} breasts, {label.mean():.2f} with cancer")
    for name, config in NETWORKS.items():
        found = embedded(config, shown)
        rows = np.stack([found[[k for k, b in enumerate(of) if b == breast]].mean(axis=0) for breast in breasts])
        areas = [told(rows, label, group, penalty) for penalty in (0.01, 0.1)]
        print(f"{name:<36} AUC {areas[0]:.3f} and {areas[1]:.3f} at penalties of 100 and 10", flush=True)


if __name__ == "__main__":
    main()
