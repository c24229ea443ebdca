"""Stores united and compared."""

from __future__ import annotations

import numpy as np
import pytest

from radboost.data.store import Rows, compare_stores, merge_stores, verify_store
from radboost.errors import ExistsError, FormatError, MismatchError, UserError


def names(*numbers):
    return [f"{n:032x}" for n in numbers]


def moved(rows, by):
    """The same crops with other values."""
    return Rows(rows.crop_ids, {p: (v + by).astype(v.dtype) for p, v in rows.embeddings.items()}, rows.failed)


@pytest.fixture
def two(tmp_path, made):
    """Two stores that share crop 3, which lies alone in a shard of one and beside crop 4 in the other."""
    both = made.rows([3])
    pair = made.rows([4])
    joined = Rows(
        np.concatenate([both.crop_ids, pair.crop_ids]),
        {p: np.concatenate([both.embeddings[p], pair.embeddings[p]]) for p in both.embeddings},
        made.ids(1, 9),
    )
    a = made.store(tmp_path / "a", made.rows([1, 2], failed=[4, 8]), both)
    b = made.store(tmp_path / "b", joined, made.rows([5, 6], failed=[8]))
    return a, b


def test_every_crop_is_there_once_with_its_values(two, tmp_path):
    a, b = two
    found = merge_stores([a, b], tmp_path / "m")
    store = found.store
    assert store.crop_ids() == names(1, 2, 3, 4, 5, 6)
    for pool in store.pools:
        for source in (a, b):
            rows = store.rows_of(source.crop_ids())
            assert np.array_equal(store.read(pool, rows), source.read(pool))
    assert found.repeated == 1
    # Crops 1 and 4 failed in one store only; 8 failed in both and 9 in one, and neither has an embedding.
    assert sorted(store.failed_ids()) == names(8, 9)
    assert verify_store(store.folder).findings == ()


def test_shards_of_new_crops_are_copied_byte_for_byte(two, tmp_path):
    a, b = two
    found = merge_stores([b, a], tmp_path / "m")
    assert found.copied == 1
    assert (tmp_path / "m/part-00001.h5").read_bytes() == (b.folder / "part-00001.h5").read_bytes()
    assert found.store.parts[1].versions == b.parts[1].versions


def test_the_order_of_the_stores_changes_no_content(two, tmp_path):
    one, other = (merge_stores(s, tmp_path / n).store for s, n in ((two, "m"), (two[::-1], "n")))
    found = compare_stores(one, other)
    assert (found.only_first, found.only_second, found.common) == (0, 0, 6)
    assert all(pool.equal == 6 for pool in found.pools.values())


def test_merging_a_store_with_itself_changes_nothing(two, tmp_path):
    found = merge_stores([two[0], two[0]], tmp_path / "m")
    assert [p.sha256 for p in found.store.parts] == [p.sha256 for p in two[0].parts]
    assert found.repeated == 3


def test_another_fingerprint_is_refused_by_field(two, tmp_path, made):
    other = made.store(tmp_path / "o", made.rows([7]), fingerprint={**made.FINGERPRINT, "precision": "bf16"})
    with pytest.raises(MismatchError, match="precision: the store has fp32, asked bf16"):
        merge_stores([*two, other], tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_another_key_and_an_unknown_one_are_refused(two, tmp_path, made):
    # Two keys give one image two names: the merged store would hold it twice and nobody could tell.
    other = made.store(tmp_path / "o", made.rows([7]), key_id="another")
    with pytest.raises(MismatchError, match="different keys"):
        merge_stores([*two, other], tmp_path / "m")
    unknown = made.store(tmp_path / "u", made.rows([7]), key_id=None)
    with pytest.raises(MismatchError, match="which key"):
        merge_stores([*two, unknown], tmp_path / "m")


def test_a_crop_with_two_values_is_refused(two, tmp_path, made):
    other = made.store(tmp_path / "o", moved(made.rows([1, 2]), 0.5))
    with pytest.raises(MismatchError, match="2 rows"):
        merge_stores([two[0], other], tmp_path / "m")
    assert not (tmp_path / "m").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".m")]


def test_a_damaged_shard_is_not_carried_on(two, tmp_path):
    path = two[1].folder / "part-00001.h5"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"part-00001\.h5.*sha256"):
        merge_stores(two, tmp_path / "m")


def test_views_of_a_crop_stay_together(tmp_path, made, viewed):
    more = made.store(tmp_path / "o", made.rows([7, 7, 7], views=[0, 1, 2]))
    store = merge_stores([viewed, more, viewed], tmp_path / "m").store
    assert store.crop_ids() == names(8, 8, 3, 3, 3, 5, 5, 5, 7, 7, 7)
    assert store.column("view").tolist() == [0, 1, 0, 1, 2, 0, 1, 2, 0, 1, 2]


def test_one_store_and_a_place_that_is_taken_are_refused(two, tmp_path):
    with pytest.raises(UserError, match="two stores"):
        merge_stores(two[:1], tmp_path / "m")
    with pytest.raises(ExistsError):
        merge_stores(two, two[0].folder)


def test_a_comparison_counts_and_measures(two, tmp_path, made):
    a, b = two
    found = compare_stores(a, b)
    assert (found.only_first, found.only_second, found.common) == (2, 3, 1)
    assert found.fields == {}
    assert found.same_key is True
    assert {p.equal for p in found.pools.values()} == {1}
    assert {(p.largest, p.cosine_least) for p in found.pools.values()} == {(0.0, 1.0)}
    other = made.store(
        tmp_path / "o", moved(made.rows([1, 2]), 0.5), key_id="z", fingerprint={**made.FINGERPRINT, "dtype": "float32"}
    )
    found = compare_stores(a, other)
    assert found.fields == {"dtype": ("float16", "float32")}
    assert found.same_key is False
    assert found.pools["avg"].largest == pytest.approx(0.5, abs=2e-3)
    assert found.pools["avg"].cosine_least <= found.pools["avg"].cosine_mean < 1


def test_views_are_compared_with_their_own_kind(viewed):
    found = compare_stores(viewed, viewed)
    assert found.common == 8
    assert all(pool.equal == 8 for pool in found.pools.values())
