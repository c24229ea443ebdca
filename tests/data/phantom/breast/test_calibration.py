"""The phantom is not a toy: brightness and metadata hardly find its cancers, structure does, and not without effort.

Everything is cross-fitted by patient on 240 patients; the unit is a breast.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import pytest
import timm
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from radboost.data.phantom.breast import BreastPhantom, draw_patient, render_view

PHANTOM = BreastPhantom(patients=240, pixels=384)
SIZE = 192


@dataclass(frozen=True, eq=False)
class Rendered:
    """Crops of all views, and what is known of each breast."""

    crops: np.ndarray  # (views, size, size), brightness 0 to 255, chest wall on the left
    moments: np.ndarray  # (views, 2): mean and deviation of the displayed breast box
    views: pd.DataFrame
    units: pd.DataFrame


@pytest.fixture(scope="module")
def rendered():
    crops, moments, views, units = [], [], [], []
    for index in range(PHANTOM.patients):
        patient = draw_patient(PHANTOM, index)
        for view in patient.views:
            image = render_view(patient, view, PHANTOM.pixels)
            box = image.breast
            part = image.display()[box.y0 : box.y1, box.x0 : box.x1]
            moments.append((part.mean(), part.std()))
            crops.append(fitted(part if view.laterality == "L" else part[:, ::-1]))
            views.append((index, view.laterality, "CC" if view.view == "CC" else "MLO"))
        for side, breast in patient.breasts.items():
            age = 58 if patient.age is None else patient.age
            units.append(
                (index, side, breast.cancer, age, patient.site_id, patient.machine.machine_id, patient.implant)
            )
    return Rendered(
        np.stack(crops),
        np.array(moments),
        pd.DataFrame(views, columns=["patient", "side", "slot"]),
        pd.DataFrame(units, columns=["patient", "side", "cancer", "age", "site", "machine", "implant"]),
    )


def fitted(part):
    """Shrink to SIZE with the ratio kept; the rest stays black."""
    scale = SIZE / max(part.shape)
    width, height = (max(1, round(n * scale)) for n in part.shape[::-1])
    small = cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=cv2.INTER_AREA)
    crop = np.zeros((SIZE, SIZE), np.uint8)
    crop[(SIZE - height) // 2 :][:height, :width] = np.rint(small * 255)
    return crop


def by_unit(rendered, features):
    """Features of both views of a breast, and their differences to the other breast's: (units, 4 x width)."""
    table = pd.DataFrame(features).groupby([rendered.views[c] for c in ("patient", "side", "slot")]).mean()
    wide = table.unstack("slot")
    wide = wide.fillna(wide.mean())
    keys = list(zip(rendered.units["patient"], rendered.units["side"], strict=True))
    own = wide.reindex(keys).to_numpy()
    other = wide.reindex([(patient, "R" if side == "L" else "L") for patient, side in keys]).to_numpy()
    return np.hstack([own, own - other])


def metadata(rendered):
    columns = rendered.units[["age", "site", "machine", "implant"]]
    return pd.get_dummies(columns, columns=["site", "machine"]).to_numpy(float)


def cross_fitted_auc(rendered, x, *, strength=1.0, components=None):
    steps = [StandardScaler()]
    if components is not None:
        steps += [PCA(components, svd_solver="full"), StandardScaler()]
    model = make_pipeline(*steps, LogisticRegression(C=strength, max_iter=5000))
    y = rendered.units["cancer"].to_numpy(int)
    p = np.zeros(len(y))
    for train, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(x, y, rendered.units["patient"]):
        p[test] = model.fit(x[train], y[train]).predict_proba(x[test])[:, 1]
    return roc_auc_score(y, p)


@pytest.fixture(scope="module")
def simple_auc(rendered):
    moments = by_unit(rendered, rendered.moments)
    own = moments[:, : moments.shape[1] // 2]
    meta = metadata(rendered)
    return {
        "metadata": cross_fitted_auc(rendered, meta),
        "moments and metadata": cross_fitted_auc(rendered, np.hstack([own, meta])),
        "moments, differences and metadata": cross_fitted_auc(rendered, np.hstack([moments, meta])),
    }


@pytest.fixture(scope="module")
def random_auc(rendered):
    # Stem and first stage of a ResNet-18 that has learned nothing, mean and maximum over space. One input channel and
    # one block a stage keep it cheap; a zero-initialised second block would change nothing.
    torch.manual_seed(0)
    small = {"in_chans": 1, "layers": [1, 1, 1, 1], "features_only": True, "out_indices": (1,)}
    net = timm.create_model("resnet18", pretrained=False, **small).eval()
    embeddings = []
    with torch.inference_mode():
        for start in range(0, len(rendered.crops), 16):
            batch = torch.from_numpy(rendered.crops[start : start + 16]).float()[:, None] / 255
            maps = net((batch - 0.449) / 0.226)[0]
            embeddings.append(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1).numpy())
    return cross_fitted_auc(rendered, by_unit(rendered, np.concatenate(embeddings)), strength=0.01, components=64)


def test_brightness_and_metadata_hardly_find_cancer(simple_auc):
    assert max(simple_auc.values()) <= 0.65, simple_auc


def test_embeddings_of_an_untrained_network_find_more(simple_auc, random_auc):
    assert random_auc >= max(simple_auc.values()) + 0.05, (simple_auc, random_auc)


def test_cancers_are_not_given_away(random_auc):
    # A third or so of the cancers are faint: what has learned nothing must leave room for what will.
    assert random_auc <= 0.9
