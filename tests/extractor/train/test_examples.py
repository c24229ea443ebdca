"""What a network learns from, where it is for a part of the task, or under weights."""

from __future__ import annotations

import numpy as np
import pytest

from radboost.errors import UserError
from radboost.extractor.train.config import OnlyConfig
from radboost.extractor.train.examples import encode_metadata, read_examples, read_units, split_examples
from radboost.extractor.train.run import train
from radboost.extractor.train.stages import Stage


def test_a_network_may_see_some_slots_only(breasts):
    whole, some = read_examples(breasts), read_examples(breasts, OnlyConfig(slots=("CC",)))
    seen = breasts.manifest["crop_id"].to_numpy()[some.crop]
    own = breasts.links[breasts.links["slot"].isin(["CC", "MLO"])]
    assert set(own.loc[own["crop_id"].isin(seen), "slot"]) == {"CC"}
    assert 0 < len(some) < len(whole)
    # Units stay in the order of the cohort, so that predictions find them.
    assert read_units(breasts, OnlyConfig(slots=("CC",))).unit.tolist() == breasts.units["unit_id"].tolist()


@pytest.mark.parametrize(
    ("only", "said"),
    [
        (OnlyConfig(slots=("AP",)), "no such slots"),
        (OnlyConfig(targets=("tumour",)), "no such targets"),
        (OnlyConfig(parts=("spinal",)), "no parts"),
    ],
)
def test_what_the_task_lacks_is_named(breasts, only, said):
    with pytest.raises(UserError, match=said):
        read_examples(breasts, only)


def test_target_weights_flow_through(breasts, asked, tmp_path):
    names = breasts.units["unit_id"].tolist()
    weights = dict(zip(names, np.linspace(0.0, 2.0, len(names)).tolist(), strict=True))
    config = asked(stages=(Stage("all", 1, 1e-2),))
    plain = train(breasts, tmp_path / "plain", config)
    weighted = train(breasts, tmp_path / "weighted", asked(stages=config.stages, weights=weights))
    table = weighted.predictions.table
    # Who has no weight is not learnt from, and is predicted.
    assert set(table["unit"]) == set(plain.predictions.table["unit"])
    assert table["kind"].unique().tolist() == ["weighted"]
    assert table["target_weight"].tolist() == [weights[unit] for unit in table["unit"]]
    assert not np.array_equal(table["p"], plain.predictions.table["p"])
    assert plain.content["config"]["weights"] is None
    assert weighted.members == [("train/test_resnet", "weighted")]


def test_metadata_is_encoded_by_what_units_weigh(breasts):
    # Weight 2 is the row twice and weight 0 no row: whoever counts for nothing decides no mean, and no category.
    units = breasts.units
    weights = dict.fromkeys(units["unit_id"], 1.0)
    plain = read_examples(breasts)
    split = split_examples(plain, 0, 0.3, seed=0)
    learnt = np.flatnonzero(split.train)
    weights |= dict.fromkeys(plain.unit[learnt[::2]].tolist(), 0.0)
    weights |= dict.fromkeys(plain.unit[learnt[1::4]].tolist(), 2.0)
    encoder, _ = encode_metadata(read_examples(breasts, weights=weights), split)
    rows = np.repeat(learnt, [int(weights[unit]) for unit in plain.unit[learnt].tolist()])
    age = plain.metadata["age"].to_numpy(float)[rows]
    (numeric,) = [column for column in encoder.numeric if column.name == "age"]
    assert numeric.mean == pytest.approx(np.nanmean(age))
    assert numeric.scale == pytest.approx(np.nanstd(age))
