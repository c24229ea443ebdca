"""A cohort of small pictures in which cancer is a bright square, learnt from by every stage once a session."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from radboost.booster import boosting
from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.data.cohort import Cohort
from radboost.data.crop import PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.splits import FoldSpec
from radboost.data.store import EmbeddingStore
from radboost.data.tasks import get_task
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract
from radboost.pipeline.blending import make_blend
from radboost.pipeline.explain.system import Asked, Question, System
from radboost.pipeline.prediction import PredictConfig, predict_exams

SIZE = 64
SIDE = 14
"""Of the square."""


def write_pictures(out: Path, patients: int, first: int, split: str) -> Path:
    """Pictures in the layout of the screening data, and the squares in truth/lesions.csv."""
    rng = np.random.default_rng(first)
    rows, lesions = [], []
    for patient in range(first, first + patients):
        folder = out / f"{split}_images" / str(patient)
        folder.mkdir(parents=True)
        for side in ("L", "R"):
            cancer = int(rng.uniform() < 0.5)
            for number, view in enumerate(("CC", "MLO")):
                image = patient * 10 + 2 * (side == "R") + number
                pixels = rng.normal(90, 30, (SIZE, SIZE))
                x, y = rng.integers(4, SIZE - SIDE - 4, 2)
                if cancer:
                    pixels[y : y + SIDE, x : x + SIDE] += 45
                    where = {"patient_id": patient, "image_id": image, "laterality": side, "view": view}
                    lesions.append({**where, "malignant": 1, "x0": x, "y0": y, "x1": x + SIDE, "y1": y + SIDE})
                cv2.imwrite(str(folder / f"{image}.png"), np.clip(pixels, 1, 255).astype(np.uint8))
                rows.append(
                    {"site_id": 1, "patient_id": patient, "image_id": image, "laterality": side, "view": view}
                    | {"age": 40 + patient % 30 + 4 * cancer, "cancer": cancer, "implant": 0, "machine_id": 49}
                )
    table = pd.DataFrame(rows)
    table["prediction_id"] = table["patient_id"].astype(str) + "_" + table["laterality"]
    table.drop(columns="cancer" if split == "test" else "prediction_id").to_csv(out / f"{split}.csv", index=False)
    (out / "truth").mkdir()
    pd.DataFrame(lesions).to_csv(out / "truth" / "lesions.csv", index=False)
    table[["prediction_id", "cancer"]].drop_duplicates().to_csv(out / "truth" / "units.csv", index=False)
    return out


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with data/, new/, cohort/, store/, run/ and blend/."""
    root = tmp_path_factory.mktemp("squares")
    write_pictures(root / "data", 24, 100, "train")
    write_pictures(root / "new", 3, 900, "test")
    made = IndexConfig(folds=FoldSpec(2), workers=1)
    cohort = index(root / "data", get_task("rsna-breast"), made).cohort.save(root / "cohort")
    backbone = BackboneConfig("test_resnet", random_init=0, size=SIZE, pool=("avg", "max"), stage=1)
    config = ExtractConfig(backbone, PixelPolicy.of("frame", SIZE), dtype="float32", device="cpu", workers=1)
    store = extract(cohort, root / "store", config).store
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "ROUNDS", 12)
        fit_boost(cohort, [store], BoostConfig(learners=("logistic", "lightgbm"), workers=1)).save(root / "run")
    make_blend([root / "run"], "safe", root / "blend")
    return root


@pytest.fixture(scope="session")
def blend(squares: Path) -> System:
    return System.load(squares / "blend")


@pytest.fixture(scope="session")
def cohort(squares: Path) -> Cohort:
    return Cohort.load(squares / "cohort")


@pytest.fixture(scope="session")
def new(squares):
    """The new exams as `predict` sees them: their cohort, their store, and what was predicted."""
    found = predict_exams(squares / "blend", squares / "new", PredictConfig(work=squares / "work", workers=1))
    (made,) = [EmbeddingStore.open(p) for p in (squares / "work").glob("store-*")]
    p = dict(found.submission[["prediction_id", "cancer"]].itertuples(index=False, name=None))
    return Cohort.load(squares / "work" / "cohort"), made, p


@pytest.fixture(scope="session")
def asked(blend):
    return Asked(blend, Question.of(blend.task))


@pytest.fixture(scope="session")
def cancer(new):
    """A unit that is predicted as cancer."""
    return max(new[2], key=lambda unit: new[2][unit])


@pytest.fixture(scope="session")
def config_of(new: tuple[Cohort, EmbeddingStore, dict[str, float]]) -> ExtractConfig:
    return ExtractConfig.from_store(new[1])
