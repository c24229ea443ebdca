"""Phantom films: only the form of a finding tells its class."""

from __future__ import annotations

from dataclasses import replace

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

from radboost.data.phantom.cbis import CbisPhantom, draw_film_patient, render_film
from radboost.errors import UserError

PHANTOM = CbisPhantom(patients=150, seed=3, pixels=512)


def drawn(phantom: CbisPhantom):
    return [draw_film_patient(phantom, index) for index in range(phantom.patients)]


def test_both_kinds_in_both_classes_and_several_on_a_film():
    patients = drawn(PHANTOM)
    findings = [finding for patient in patients for finding in patient.findings]
    kinds = {(f.kind, f.malignant) for f in findings}
    assert len(kinds) == 4
    assert {f.pathology for f in findings} == {"MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK"}
    assert max(len(p.findings) for p in patients) >= 3
    assert np.mean([f.malignant for f in findings]) == pytest.approx(0.5, abs=0.06)
    # Some are in the tables of both kinds, and some of those on both sides of the official split.
    both = [p for p in patients if len(p.tests) == 2]
    assert both
    assert any(len(set(p.tests.values())) == 2 for p in both)
    assert {p.density for p in patients} == set("1234")
    assert {p.density for p in drawn(replace(PHANTOM, density_mix={"4": 1.0}))} == {"4"}


def test_a_finding_changes_neither_mean_nor_deviation_of_the_film_by_its_class():
    # The same film with its findings taken away has the same noise: the difference is the findings alone.
    added = {True: [], False: []}
    for patient in drawn(replace(PHANTOM, patients=40)):
        bare = render_film(replace(patient, findings=()), patient.views[0], 256).pixels.astype(float)
        film = render_film(patient, patient.views[0], 256)
        for finding, mask in zip(patient.findings, film.masks, strict=True):
            if len(patient.findings) == 1:
                values = (film.pixels - bare)[mask] / 24000
                added[finding.malignant].append((values.mean(), values.std() / finding.contrast))
            outside = ~np.any([cv2.dilate(m.astype(np.uint8), np.ones((25, 25))) for m in film.masks], axis=0)
            assert np.abs(film.pixels - bare)[outside].max() == 0
    means, spreads = ({k: np.mean([v[i] for v in found]) for k, found in added.items()} for i in (0, 1))
    assert abs(means[True] - means[False]) < 0.003
    assert spreads[True] == pytest.approx(spreads[False], rel=0.25)


@pytest.mark.parametrize(
    "field", [{"pixels": 8}, {"malignant": 2}, {"density_mix": {"5": 1}}, {"density_mix": {}}, {"seed": -1}]
)
def test_what_cannot_be_drawn_is_refused(field):
    with pytest.raises(UserError, match="out of range"):
        replace(PHANTOM, **field)


def cut_out(phantom: CbisPhantom):
    """Crops (n, 64, 64) of the findings' boxes; moments and metadata; whether malignant; patient."""
    crops, plain, labels, groups = [], [], [], []
    for patient in drawn(phantom):
        for view in patient.views:
            film = render_film(patient, view, phantom.pixels)
            for finding, mask in zip(patient.findings, film.masks, strict=True):
                x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
                cut = film.pixels[y : y + height, x : x + width].astype(np.float32) / 24000
                crops.append(cv2.resize(cut, (64, 64), interpolation=cv2.INTER_LINEAR))
                told = (float(patient.density), finding.kind == "mass", patient.side == "LEFT", view.view == "CC")
                plain.append((cut.mean(), cut.std(), *told))
                labels.append(finding.malignant)
                groups.append(patient.name)
    return np.stack(crops), np.array(plain), np.array(labels), groups


def test_form_tells_cancer_and_moments_with_metadata_do_not():
    torch.manual_seed(0)
    network = timm.create_model("resnet18", pretrained=False, features_only=True, out_indices=(1,)).eval()
    crops, plain, labels, groups = cut_out(PHANTOM)
    with torch.inference_mode():
        batch = torch.from_numpy(crops)[:, None].expand(-1, 3, -1, -1)
        form = network((batch - 0.45) / 0.23)[0]
        form = torch.cat([form.mean(dim=(2, 3)), form.amax(dim=(2, 3))], dim=1).numpy()
    found = {}
    for name, columns in (("plain", plain), ("form", form)):
        model = make_pipeline(StandardScaler(), PCA(min(32, columns.shape[1])), LogisticRegression(C=0.1, max_iter=300))
        p = cross_val_predict(model, columns, labels, groups=groups, cv=GroupKFold(5), method="predict_proba")[:, 1]
        found[name] = roc_auc_score(labels, p)
    assert found["plain"] <= 0.65, found
    assert found["plain"] + 0.05 <= found["form"] < 0.97, found


@pytest.mark.proof
def test_a_small_trained_network_tells_most_cancers_and_not_all(learnt):
    def turned(x):
        flips = [axis for axis in (-1, -2) if torch.rand(()) < 0.5]
        return x.flip(flips).rot90(int(torch.randint(4, ())), (-2, -1))

    shown, _, found, _ = cut_out(replace(PHANTOM, patients=120, first_patient=1000))
    crops, _, truth, groups = cut_out(PHANTOM)
    reached = roc_auc_score(truth, learnt(shown, found, turned)(crops))
    print(f"AUC of malignant, {len(truth)} crops of {len(set(groups))} patients apart: {reached:.3f}")
    assert 0.85 <= reached <= 0.97
