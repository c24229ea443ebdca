"""Maps tell what the real system does when something is missing, and light up where the cancer was planted."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from radboost.extractor.config import ExtractConfig
from radboost.extractor.probe import Probe
from radboost.pipeline.explain.copies import Change, Patient
from radboost.pipeline.explain.system import log_odds
from radboost.pipeline.explain.where import MAP, OCCLUSION, WhereConfig, crops_of, explain_where
from radboost.pipeline.prediction import PredictConfig, predict_exams


@pytest.fixture(scope="module")
def probe(new):
    with Probe(ExtractConfig.from_store(new[1])) as probe:
        yield probe


def test_a_copy_is_predicted_as_the_unit_is(new, asked):
    exams, store, p = new
    assert len(p) == 6
    for unit, wanted in p.items():
        patient = Patient.of(exams, [store], unit)
        assert patient.probabilities(asked) == pytest.approx(wanted, rel=1e-4)
        crop = patient.cohort.links["crop_id"].iloc[0]
        same = {name: np.repeat(store.read(name, store.rows_of([crop])), 3, axis=0) for name in store.pools}
        assert patient.probabilities(asked, Change(crop, 0, same)) == pytest.approx(wanted, rel=1e-4)


def test_a_covered_window_is_predicted_as_an_exam_with_that_window_covered(
    squares, new, probe, asked, cancer, tmp_path
):
    exams, store, p = new
    patient = Patient.of(exams, [store], cancer)
    config = WhereConfig(methods=(OCCLUSION,), window=1 / 4, step=1, fill="black", crops=1)
    (found,) = explain_where(asked, patient, [probe], config)
    assert found.effects.shape == (16,)
    number = int(np.abs(found.effects).argmax())
    # The picture is shown as it is, pixel for pixel: a covered crop is a covered file.
    top, left = 16 * (number // 4), 16 * (number % 4)
    shutil.copytree(squares / "new", tmp_path / "new")
    path = tmp_path / "new" / exams.manifest.set_index("crop_id")["path"][found.crop_id]
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    pixels[top : top + 16, left : left + 16] = 0
    cv2.imwrite(str(path), pixels)
    again = predict_exams(squares / "blend", tmp_path / "new", PredictConfig(workers=1)).submission
    wanted = again.set_index("prediction_id")["cancer"][cancer]
    assert abs(wanted - p[cancer]) > 1e-3
    assert log_odds(p[cancer]) - log_odds(wanted) == pytest.approx(found.effects[number], abs=1e-4)


def test_maps_light_up_where_the_cancer_was_planted(squares, new, probe, asked, cancer):
    exams, store, _ = new
    lesions = pd.read_csv(squares / "new" / "truth" / "lesions.csv").set_index("image_id")
    paths = exams.manifest.set_index("crop_id")["path"]
    patient = Patient.of(exams, [store], cancer)
    maps = list(explain_where(asked, patient, [probe], WhereConfig()))
    assert [m.method for m in maps] == [MAP, OCCLUSION] * 2
    assert [m.slot for m in maps] == ["CC", "CC", "MLO", "MLO"]
    above = []
    for found in maps:
        box = lesions.loc[int(paths[found.crop_id].rpartition("/")[2][:-4])]
        inside = np.zeros((64, 64), bool)
        inside[box["y0"] : box["y1"], box["x0"] : box["x1"]] = True
        heat = found.on_frame
        above.append(heat[inside].mean() - heat[~inside].mean())
        assert heat[int(found.hottest[1]), int(found.hottest[0])] == heat.max()
        assert found.on_frame.shape == found.info.shape == (64, 64)
    assert min(above) > 0
    assert np.mean(above) > 0.5


def test_of_many_crops_evenly_spread_ones_are_looked_into(cohort):
    unit = cohort.units["unit"].iloc[0]
    assert [slot for _, slot in crops_of(cohort, unit, 8)] == ["CC", "MLO"]
    assert len(crops_of(cohort, unit, 1)) == 1
