"""What a blend keeps of its members: the same probabilities, whatever members are called."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radboost.data.member_table import MOST_MEMBERS, read_members, write_members
from radboost.data.predictions import COLUMNS, Predictions, member_name
from radboost.errors import FormatError


def rows(member: str, target: str, number: int, p: list[float], kind: str = "regular") -> pd.DataFrame:
    n = len(p)
    rest = {"y": 0.0, "task_weight": 1.0, "target_weight": 1.0, "fold_hash": "f", "fold": 0, "kind": kind}
    own = {"unit": [f"u{k}" for k in range(n)], "group": [f"g{k}" for k in range(n)], "p": p, "class": number}
    return pd.DataFrame({**rest, **own, "member": member, "target": target})[[*COLUMNS]].astype(COLUMNS)


def three(member: str, target: str, p: np.ndarray) -> pd.DataFrame:
    return pd.concat([rows(member, target, k, p[:, k].tolist()) for k in range(3)])


P = [1e-300, 1e-9, 0.25, 0.5, 1 - 1e-9, 1.0, 0.0]
MANY = np.random.default_rng(0).dirichlet(np.ones(3), len(P))


@pytest.fixture
def members() -> Predictions:
    """A name like a column's, a weighted twin, and a member that knows one target only."""
    tables = [
        rows("unit", "a", 1, P),
        rows("unit", "a", 1, P[::-1], "weighted"),
        rows("late", "a", 1, P[:3]),
        three("unit", "b", MANY),
    ]
    return Predictions(pd.concat(tables, ignore_index=True))


@pytest.fixture
def blend() -> Predictions:
    return Predictions(pd.concat([rows("blend/safe", "a", 1, P), three("blend/safe", "b", MANY)], ignore_index=True))


def test_probabilities_come_back_to_seven_digits_at_either_end(tmp_path, members, blend):
    names = ["unit", member_name("unit", "weighted"), "late"]
    write_members(tmp_path / "m.parquet", members, names)
    first, second = read_members(tmp_path / "m.parquet", blend)
    assert [name for name, _ in first.members] == names
    np.testing.assert_allclose(first.p[:, 0, 1], P, rtol=1e-4, atol=0)
    np.testing.assert_allclose(first.p[1:6, 0, 1], P[1:6], rtol=3e-6)
    np.testing.assert_allclose(1 - first.p[4, 0, 1], 1e-9, rtol=1e-5)
    np.testing.assert_array_equal(first.p[:, 0, 1], first.p[::-1, 1, 1])
    assert np.isnan(first.p[3:, 2]).all(), "a unit that a member lacks"
    np.testing.assert_allclose(second.p[:, 0], MANY, rtol=1e-6)
    assert np.isnan(second.p[:, 1:]).all(), "members of the other target alone"


def test_the_heaviest_are_kept_and_other_units_are_refused(tmp_path, members, blend):
    names = [f"m{k}" for k in range(30)]
    write_members(tmp_path / "m.parquet", members, names)
    assert [name for name, _ in next(read_members(tmp_path / "m.parquet", blend)).members] == names[:MOST_MEMBERS]
    other = Predictions(rows("blend/safe", "a", 1, [*P, 0.5]))
    with pytest.raises(FormatError, match="other units"):
        list(read_members(tmp_path / "m.parquet", other))
    (tmp_path / "m.parquet").write_bytes(b"PAR1")
    with pytest.raises(FormatError, match="members"):
        list(read_members(tmp_path / "m.parquet", blend))
