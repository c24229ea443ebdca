"""The encoder learns from training rows alone, and weighs them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from radboost.data.metadata import MISSING, RARE, MetadataEncoder, category_text, numbers
from radboost.errors import FormatError, TableError


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    age = pd.Series(random.normal(60, 10, 40)).where(random.random(40) > 0.2)
    site = random.choice(["A", "B", "C"], 40)
    site[:2] = "Z"
    return pd.DataFrame({"age": age, "site": site})


def test_training_rows_come_out_standard(frame: pd.DataFrame) -> None:
    encoder = MetadataEncoder.fit(frame, ["age"], ["site"])
    x = pd.DataFrame(encoder.transform(frame), columns=encoder.features)
    known = frame["age"].notna()
    assert abs(x["age"][known].mean()) < 1e-6
    assert abs(x["age"][known].std(ddof=0) - 1) < 1e-6
    assert (x["age"][~known] == 0).all(), "an empty cell takes the mean"
    assert (x[f"age={MISSING}"] == ~known).all()
    assert (x.filter(like="site=").sum(axis=1) == 1).all()
    assert x[f"site={RARE}"].sum() == 2, "two rows are too few for a category of their own"


def test_weight_two_is_the_row_twice_and_weight_zero_no_row(frame: pd.DataFrame) -> None:
    weight = np.random.default_rng(1).integers(0, 3, len(frame))
    weight[0] = 0  # a category that only weightless rows have must not appear
    frame.loc[0, "site"] = "never"
    repeated = frame.loc[frame.index.repeat(weight)]
    one, two = (
        MetadataEncoder.fit(frame, ["age"], ["site"], weight),
        MetadataEncoder.fit(repeated, ["age"], ["site"]),
    )
    assert one.features == two.features
    assert not any("never" in f for f in one.features)
    np.testing.assert_allclose(one.transform(frame), two.transform(frame), rtol=0, atol=1e-6)


def test_a_category_never_seen_is_rare_or_nothing(frame: pd.DataFrame) -> None:
    new = pd.DataFrame({"site": ["never seen", None]})
    encoder = MetadataEncoder.fit(frame, [], ["site"])
    x = dict(zip(encoder.features, encoder.transform(new).T, strict=True))
    assert x[f"site={RARE}"].tolist() == [1, 0]
    common = frame[frame["site"].isin(["A", "B"])]
    assert not MetadataEncoder.fit(common, [], ["site"]).transform(new).any()


def test_rare_names_are_not_kept(frame: pd.DataFrame) -> None:
    # What few patients have may tell who they are, and the encoder is part of every run and blend.
    named = frame.assign(site=["Saint Nowhere" if i == 0 else "A" for i in range(len(frame))])
    encoder = MetadataEncoder.fit(named, [], ["site"])
    assert f"site={RARE}" in encoder.features
    assert "Nowhere" not in str(encoder.to_dict())


def test_no_flag_without_a_missing_training_cell() -> None:
    encoder = MetadataEncoder.fit(pd.DataFrame({"age": [1.0, 3.0]}), ["age"], [])
    assert encoder.features == ["age"]
    assert encoder.transform(pd.DataFrame({"age": [np.nan]})) == 0


def test_constant_and_empty_columns_stay_finite() -> None:
    frame = pd.DataFrame({"same": [7.1] * 9, "empty": [None] * 9})
    encoder = MetadataEncoder.fit(frame, ["same", "empty"], [])
    assert np.isfinite(encoder.transform(pd.DataFrame({"same": [8.1], "empty": [5.0]}))).all()
    assert (encoder.transform(frame)[:, 0] == 0).all()


def test_one_category_however_it_was_typed() -> None:
    assert category_text(pd.Series([2, "2", 2.0, "2.0", " ", None])).tolist() == ["2"] * 4 + [MISSING] * 2
    assert np.isnan(numbers(pd.Series(["1.5", "", None, "inf"]))).tolist() == [False, True, True, True]


def test_json_gives_the_same_encoder_back(frame: pd.DataFrame) -> None:
    encoder = MetadataEncoder.fit(frame, ["age"], ["site"])
    assert MetadataEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder
    with pytest.raises(FormatError, match="metadata encoder"):
        MetadataEncoder.from_dict({"numeric": [{"name": "age"}], "categorical": []})


def test_errors_name_column_and_value(frame: pd.DataFrame) -> None:
    with pytest.raises(TableError, match=r"age.*text.*sixty"):
        MetadataEncoder.fit(pd.DataFrame({"age": ["60", "sixty"]}), ["age"], [])
    with pytest.raises(TableError, match=r"missing.*machine"):
        MetadataEncoder.fit(frame, [], ["machine"])
