"""Labels that are pure noise: what a network learnt of its own patients must not come out as skill."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from radboost.booster.config import BoostConfig
from radboost.booster.crossfit import fit_boost
from radboost.booster.score import score_predictions
from radboost.data.crop import PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.splits import FoldSpec
from radboost.data.tasks import get_task
from radboost.errors import LeakError, MismatchError
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.config import ExtractConfig
from radboost.extractor.extract import extract
from radboost.extractor.train.config import LearnConfig, OnlyConfig, TrainConfig
from radboost.extractor.train.run import train
from radboost.extractor.train.stages import Stage
from radboost.extractor.views import ViewConfig
from radboost.metrics import Scored, auc, clustered_difference, clustered_interval, log_loss

PATIENTS, SIDE = 240, 32
STILL = ViewConfig(flip_horizontal=False, flip_vertical=False, rotate=0.0, shift=0.0, zoom=0.0, intensity=(0.0,))


def _cohort(root, seed):
    if not (root / "data").is_dir():
        write_rsna_breast(root / "data", BreastPhantom(patients=PATIENTS, seed=7, pixels=96))
        table = pd.read_csv(root / "data" / "train.csv")
        breast = table["patient_id"].astype(str) + table["laterality"]
        names = sorted(breast.unique())
        drawn = dict(zip(names, np.random.default_rng(0).random(len(names)) < 0.3, strict=True))
        table.assign(cancer=breast.map(drawn).astype(int)).to_csv(root / "data" / "train.csv", index=False)
    key = (root / "key").read_bytes() if (root / "key").is_file() else None
    config = IndexConfig(folds=FoldSpec.parse("3"), workers=1, seed=seed, key=key)
    cohort = index(root / "data", get_task("rsna-breast"), config).cohort.save(root / f"cohort-{seed}")
    (root / "key").write_bytes(cohort.key)
    return cohort


@pytest.mark.proof
def test_noise_stays_noise_where_networks_are_kept_apart(tmp_path):
    cohort = _cohort(tmp_path, 0)
    config = TrainConfig(
        BackboneConfig("test_resnet", random_init=0, size=SIDE),
        PixelPolicy.of("breast", SIDE),
        (Stage("all", 40, 5e-3),),
        # An epoch chosen by AUC may be one that has learnt its patients by heart; the loss would choose an early one.
        learn=LearnConfig(inner=0.05, rate="constant", monitor="auc", patience=0),
        augment=STILL,
        # Half of the pictures, which are learnt by heart in half of the time.
        only=OnlyConfig(slots=("CC",)),
        workers=1,
        device="cpu",
    )
    training = train(cohort, tmp_path / "training", config)
    store = extract(cohort, tmp_path / "store", replace(ExtractConfig.of_training(training.folder), workers=1)).store
    boost = BoostConfig(learners=("logistic",))
    apart = [*score_predictions(training.predictions), *fit_boost(cohort, [store], boost).scores]
    other = _cohort(tmp_path, 1)
    with pytest.raises(LeakError, match="leak 'training'"):
        fit_boost(other, [store], boost)
    with pytest.raises(MismatchError, match="trained on other folds"):
        fit_boost(other, [store], replace(boost, allow_leak=("training",)))
    # The weights alone, as a file from elsewhere: nothing says whom they saw, so nothing can stop them.
    state = load_file(training.folder / "fold0" / "network.safetensors")
    own = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
    save_file(own, tmp_path / "plain.safetensors")
    plain = BackboneConfig("test_resnet", tmp_path / "plain.safetensors", size=SIDE)
    blind = extract(cohort, tmp_path / "blind", ExtractConfig(plain, config.pixels, workers=1, device="cpu")).store
    leaky = fit_boost(cohort, [blind], boost)

    def line(what, score):
        loss, auc = (f"{m[0]:.4f} [{m[1]:.4f}, {m[2]:.4f}]" for m in (score.loss, score.auc))
        return f"| {what} | {score.member} | {loss} | {auc} |"

    print("\n| networks | member | log loss | AUC |\n|---|---|---|---|")
    for score in apart:
        print(line("kept apart", score))
    for score in leaky.scores:
        print(line("one network for all, its patients unknown", score))
    kept = [n["stages"][0]["epoch"] + 1 for n in training.content["networks"]]
    print(f"epochs kept: {kept}")
    prior = next(score for score in apart if score.member == "prior").loss[0]
    for score in apart:
        if score.member != "prior":
            assert score.auc[1] <= 0.5 <= score.auc[2], score
            assert abs(score.loss[0] - prior) < 0.01, score
    # The leak is there to be stopped: of patients whom the network saw, noise looks like skill; others are told more
    # surely than anybody can, which costs loss.
    saw = set(training.network(0)["saw"])
    known, unknown = (_image_rows(leaky.predictions, saw, inside) for inside in (True, False))
    for what, (rows, prior) in (("patients it saw", known), ("others", unknown)):
        low, high = clustered_interval(auc, rows)
        more = clustered_difference(log_loss, rows, prior)
        print(
            f"| {what} | {len(rows.y)} | {auc(rows.y, rows.p):.3f} [{low:.3f}, {high:.3f}] | "
            f"{more.value:+.3f} [{more.low:+.3f}, {more.high:+.3f}] |"
        )
    assert clustered_interval(auc, known[0])[0] > 0.5
    assert clustered_difference(log_loss, *unknown).low > 0
    low, high = clustered_interval(auc, unknown[0])
    assert low <= 0.5 <= high


def _image_rows(predictions, saw, inside):
    """What the member that sees images says of patients whom the network saw, or of others; and the prior."""
    table = predictions.table.query("member == 'logistic/image' and `class` == 1")
    prior = table["fold"].map({fold: table.loc[table["fold"] != fold, "y"].mean() for fold in table["fold"].unique()})
    own = (table["group"].isin(saw) == inside).to_numpy()
    y, p, group = (table.loc[own, name].to_numpy() for name in ("y", "p", "group"))
    return Scored(y, p, np.ones(len(y)), group), prior[own].to_numpy()
