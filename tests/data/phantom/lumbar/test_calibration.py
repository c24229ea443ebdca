"""The phantom is not a toy: brightness and metadata hardly find its severe levels, what a crop shows does.

Everything is cross-fitted by study; the unit is a spinal canal at a level, seen in the sagittal T2 slice nearest to it.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import timm
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from radboost.data.phantom.lumbar import LumbarPhantom, draw_spine_study, render_slice
from radboost.data.phantom.lumbar.study import LEVELS

PHANTOM = LumbarPhantom(studies=160, seed=4, lacking=0, twice=0)
PIXELS, SIZE, BOX_MM = 96, 64, 60.0


@pytest.fixture(scope="module")
def units():
    """Crops (n, SIZE, SIZE) from 0 to 1; moments, thickness and level; study; whether it is severe."""
    crops, plain, study_of, label = [], [], [], []
    for index in range(PHANTOM.studies):
        study = draw_spine_study(PHANTOM, index)
        series = next(s for s in study.series if s.kind == "t2")
        point = study.spine.point("spinal_canal_stenosis", 2)
        number = int(np.argmin([plane.pixel(point, PIXELS)[2] for plane in series.planes]))
        values = render_slice(study.spine, series, number, PIXELS)
        shown = np.clip(values / np.percentile(values, 99.5), 0, 1)
        for place, level in enumerate(LEVELS):
            x, y, _ = series.planes[number].pixel(study.spine.point("spinal_canal_stenosis", place), PIXELS)
            half = BOX_MM / 2 * PIXELS / series.planes[number].field
            rows, columns = (slice(max(0, round(c - half)), max(2, round(c + half))) for c in (y, x))
            crop = shown[rows, columns]
            crops.append(cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR))
            moments = [values.mean(), values.std(), crop.mean(), crop.std(), study.thickness]
            plain.append([*moments, *np.eye(5)[place]])
            study_of.append(index)
            label.append(study.grades["spinal_canal_stenosis", level] == 2)
    return np.array(crops, np.float32), np.array(plain), np.array(study_of), np.array(label)


def auc(x, study, label, components=None):
    steps = [StandardScaler(), *([PCA(components, random_state=0)] if components else []), LogisticRegression(C=0.1)]
    p = cross_val_predict(make_pipeline(*steps), x, label, groups=study, cv=GroupKFold(5), method="predict_proba")
    return roc_auc_score(label, p[:, 1])


def test_brightness_and_metadata_find_little_and_untrained_features_more(units):
    crops, plain, study, label = units
    assert 0.05 < label.mean() < 0.3
    simple = auc(plain, study, label)
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", pretrained=False, num_classes=0, in_chans=1).eval()
    with torch.inference_mode():
        features = network.forward_features(torch.from_numpy(crops)[:, None]).mean((2, 3)).numpy()
    embedded = auc(features, study, label, 24)
    # Moments of the whole slice, and even those of the very crop, are not enough.
    assert simple <= 0.65
    assert embedded >= simple + 0.05
