"""A shared cohort tells nothing and yet is learnt from as the private one is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.design import build_design
from radboost.data.cohort import Cohort
from radboost.data.crop import PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.jobs import crop_jobs, refuse_unboxed
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.share import OLDEST, share_cohort
from radboost.data.splits import FoldSpec
from radboost.data.store import ID_DTYPE, EmbeddingStore, Rows, StoreWriter
from radboost.data.tasks import get_task
from radboost.errors import ExistsError, FormatError, MismatchError, UserError

COLUMNS = ("age", "site_id", "machine_id", "implant")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("SECRET-hospital") / "data"
    write_rsna_breast(root, BreastPhantom(patients=24, seed=3, pixels=64, prevalence=0.5))
    return root


@pytest.fixture(scope="module")
def private(data, tmp_path_factory):
    made = IndexConfig(folds=FoldSpec.parse("holdout:0.25:2"), key=bytes(range(32)), workers=1)
    out = tmp_path_factory.mktemp("work") / "cohort"
    return index(data, get_task("rsna-breast"), made).cohort.save(out)


@pytest.fixture(scope="module")
def shared(private, tmp_path_factory):
    return share_cohort(private, tmp_path_factory.mktemp("shared") / "cohort", COLUMNS)


@pytest.fixture(scope="module")
def store(private, tmp_path_factory):
    ids = np.array([i.encode() for i in private.manifest["crop_id"]], ID_DTYPE)
    values = np.random.default_rng(0).normal(size=(len(ids), 12)).astype(np.float16)
    content = {"fingerprint": {"made": "up"}, "config": {}, "pools": {"avg": 12}, "dtype": "float16"}
    writer = StoreWriter.create(tmp_path_factory.mktemp("store"), {**content, "rows_per_shard": 512})
    writer.add(Rows(ids, {"avg": values}, ids[:0]), "cpu")
    return EmbeddingStore.open(writer.folder)


def secrets(private, data) -> set[str]:
    """All that names a patient, an exam, a file or a day."""
    table = pd.read_csv(data / "train.csv", dtype=str)
    manifest = private.manifest
    names = {*table["image_id"], *(table["patient_id"] + "_" + table["laterality"]), *private.units["unit"]}
    for column in ("path", "instance", "study", "series"):
        names |= set(manifest[column])
    names |= {str(data), "SECRET-hospital", private.key.hex(), str(private.folder), "train_images/1"}
    return names - {""}


def texts(folder):
    """Every byte of every file; compressed columns are unpacked, since they hide what they hold."""
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            if path.suffix == ".parquet":
                text += pd.read_parquet(path).to_csv().encode()
            yield path, text


def test_no_byte_of_it_names_anybody(private, shared, data):
    told = {name.encode() for name in secrets(private, data)}
    assert len(told) > 300
    assert all(len(name) >= 7 for name in told)
    for path, text in texts(shared.folder):
        assert not [name for name in told if name in text], path


def test_no_cell_of_it_is_a_patients_number(private, shared):
    # Five digits stand in any run of bytes by chance, so bare patient numbers are looked for cell by cell.
    groups = {str(g) for g in private.folds["group"]}
    for path in shared.folder.glob("*.parquet"):
        table = pd.read_parquet(path)
        for column in table.columns:
            assert not groups & {str(v).removesuffix(".0") for v in table[column]}, (path.name, column)


def test_there_is_neither_key_nor_path_nor_quarantine(shared):
    names = sorted(p.name for p in shared.folder.iterdir())
    tables = ["folds.parquet", "links.parquet", "manifest.parquet", "targets.parquet", "units.parquet"]
    assert names == sorted(["cohort.json", *tables])
    assert shared.key is None
    assert set(shared.manifest["path"]) == set(shared.manifest["instance"]) == {""}


def test_its_hashes_are_those_of_the_private_cohort(private, shared):
    # Predictions made on one join those made on the other, and a store of one serves both.
    for name in ("fold_hash", "fingerprint", "key_id"):
        assert getattr(shared, name) == getattr(private, name)
    columns = ["unit_id", "group_id", "fold", "split"]
    pd.testing.assert_frame_equal(shared.units[columns], private.units[columns])
    assert shared.manifest["crop_id"].tolist() == private.manifest["crop_id"].tolist()
    assert shared.units["unit"].tolist() == shared.units["unit_id"].tolist()


def test_it_gives_the_same_design_and_the_same_predictions(private, shared, store):
    one, other = build_design(private, [store]), build_design(shared, [store])
    assert all(np.array_equal(a.x, b.x) for a, b in zip(one.blocks, other.blocks, strict=True))
    pd.testing.assert_frame_equal(one.metadata, other.metadata)
    config = BoostConfig(learners=("xgboost",), workers=1)
    tables = [fit_boost(cohort, [store], config).predictions.table for cohort in (private, shared)]
    pd.testing.assert_frame_equal(*tables)


def test_what_is_derived_from_links_and_shared_columns_is_kept(private, tmp_path):
    meta = replace(private.need_task().metadata, counts=True, headers=("rows",), relative=("age", "rows"))
    rich = replace(private, task=replace(private.need_task(), metadata=meta))
    one = share_cohort(rich, tmp_path / "one", ["age"]).need_task().metadata
    assert (one.numeric, one.counts, one.headers, one.relative) == (("age",), True, (), ("age",))
    none = share_cohort(rich, tmp_path / "none").need_task().metadata
    assert (none.counts, none.relative) == (True, ())


def test_only_the_metadata_asked_for_is_there(private, tmp_path):
    none = share_cohort(private, tmp_path / "none")
    assert not [c for c in none.manifest.columns if c.startswith("metadata.")]
    assert none.need_task().feature_columns == ()
    two = share_cohort(private, tmp_path / "two", ["implant", "age"])
    assert two.need_task().feature_columns == ("age", "implant")
    with pytest.raises(UserError, match="age, site_id, machine_id, implant"):
        share_cohort(private, tmp_path / "x", ["biopsy"])
    assert not (tmp_path / "x").exists()


def with_column(cohort, name, values):
    return replace(cohort, manifest=cohort.manifest.assign(**{f"metadata.{name}": values}))


def test_ages_are_capped(private, tmp_path):
    ages = np.linspace(80, 103, len(private.manifest))
    ages[3] = np.nan
    found = share_cohort(with_column(private, "age", ages), tmp_path / "c", ["age"]).manifest["metadata.age"]
    assert found.max() == OLDEST
    assert np.isnan(found[3])
    assert np.array_equal(found[ages < 90], ages[ages < 90])


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (lambda c: c.manifest["group"], "names patients"),
        (lambda c: c.manifest["instance"], "names patients"),
        (lambda c: c.manifest["group"].map(lambda g: f"bed {g}"), "tells them apart"),
        (lambda c: "2021-03-0" + c.manifest["group"].str[-1], "dates"),
        (lambda c: "seen in the clinic on the recommendation of a colleague", "free text"),
    ],
)
def test_a_category_that_tells_is_refused(private, tmp_path, cells, says):
    cohort = with_column(private, "site_id", cells(private))
    with pytest.raises(UserError, match=says):
        share_cohort(cohort, tmp_path / "c", ["site_id"])
    # Left out it does no harm.
    share_cohort(cohort, tmp_path / "c", ["age"])


@pytest.mark.parametrize(
    ("cells", "says"),
    [(lambda c: c.manifest["group"].astype(float), "names patients"), (lambda c: 20210304.0, "dates")],
)
def test_a_number_that_tells_is_refused(private, tmp_path, cells, says):
    with pytest.raises(UserError, match=says):
        share_cohort(with_column(private, "age", cells(private)), tmp_path / "c", ["age"])


def test_splits_named_by_dates_are_refused(private, tmp_path):
    dated = replace(private, folds=private.folds.assign(split="2021-03-04"))
    with pytest.raises(UserError, match="split"):
        share_cohort(dated, tmp_path / "c")


def test_views_and_sides_as_somebody_wrote_them_are_left_out(private, tmp_path):
    odd = private.manifest.assign(view="CC Mrs SECRET", laterality="left, SECRET")
    found = share_cohort(replace(private, manifest=odd), tmp_path / "c")
    assert not [p for p, text in texts(found.folder) if b"SECRET" in text]


def test_no_image_can_be_asked_of_it(shared):
    policy = PixelPolicy.of("breast", 64)
    with pytest.raises(UserError, match="holds no paths"):
        refuse_unboxed(shared, policy)
    with pytest.raises(UserError, match="holds no paths"):
        next(crop_jobs(shared, policy, [0]))


def test_it_can_be_shared_further_with_less(shared, tmp_path):
    less = share_cohort(shared, tmp_path / "less", ["age"])
    assert less.fold_hash == shared.fold_hash
    assert less.units["unit_id"].tolist() == shared.units["unit_id"].tolist()
    assert less.need_task().feature_columns == ("age",)
    with pytest.raises(UserError, match="Copy its folder"):
        shared.save(tmp_path / "saved")


def test_a_private_cohort_is_never_replaced(private, shared, tmp_path):
    # Its key would be gone, and with it every store's meaning.
    with pytest.raises(UserError, match="private"):
        share_cohort(private, private.folder, overwrite=True)
    with pytest.raises(ExistsError):
        share_cohort(private, shared.folder)


def test_a_cohort_without_a_task_has_nothing_to_share(private, tmp_path):
    with pytest.raises(MismatchError, match="without a task"):
        share_cohort(replace(private, task=None), tmp_path / "c")


@pytest.mark.parametrize("table", ["folds", "units", "manifest"])
def test_a_changed_table_is_refused(private, tmp_path, table):
    out = share_cohort(private, tmp_path / "c").folder
    path = out / f"{table}.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path, index=False)
    with pytest.raises(FormatError):
        Cohort.load(out)
