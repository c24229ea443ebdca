"""`radboost store` and `radboost cohort` as a user types them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from radboost.data.cohort import Cohort
from radboost.data.predictions import Predictions
from radboost.data.store import EmbeddingStore

BACKBONE = ("--backbone", "test_resnet", "--random-init", 0, "--size", 96, "--workers", 1)


@pytest.fixture
def mine(store, tmp_path):
    """A copy that may be harmed."""
    return shutil.copytree(store, tmp_path / "mine")


@pytest.fixture(scope="module")
def shared(cohort, work, radboost):
    words = ("--metadata", "age", "--metadata", "implant")
    text = radboost("cohort", "share", cohort, "--out", work / "shared", *words).output
    assert "metadata left out: site_id, machine_id" in text
    return work / "shared"


@pytest.mark.parametrize("group", ["store", "cohort"])
def test_help_explains_each_command(radboost, group):
    text = radboost(group, "--help").output
    commands = {"store": ("info", "ls", "verify", "diff", "merge", "export"), "cohort": ("info", "share")}[group]
    assert all(f"\n  {command} " in text for command in commands)


def test_info_says_what_made_it_and_what_is_in_it(radboost, store, cohort):
    text = radboost("store", "info", store).output
    opened, header = EmbeddingStore.open(store), json.loads((store / "store.json").read_text())
    assert header["key_id"] == Cohort.load(cohort).key_id
    for told in ("test_resnet", opened.fingerprint_hash, header["key_id"], f"{len(opened):,}", "h5py", "avg", "cpu"):
        assert told in text
    assert "nan" not in text


def test_ls_lists_crops_with_their_shard(radboost, store):
    lines = radboost("store", "ls", store, "--limit", 0).output.splitlines()
    opened = EmbeddingStore.open(store)
    cells = [line.split("\t") for line in lines]
    assert cells[0] == ["crop_id", "row", "view", "reduce", "shard"]
    assert [c[0] for c in cells[1:]] == opened.crop_ids()
    assert {c[4] for c in cells[1:]} == {p.name for p in opened.parts}
    assert len(radboost("store", "ls", store, "--limit", 3).output.splitlines()) == 4
    failed = radboost("store", "ls", store, "--failed").output.splitlines()
    assert [line.split("\t")[0] for line in failed[1:]] == opened.failed_ids()


def test_verify_then_extract_makes_one_shard_anew(radboost, cohort, mine):
    assert "every byte is sound" in radboost("store", "verify", mine).output
    before = {p.name: p.read_bytes() for p in mine.glob("part-*")}
    assert len(before) > 1
    path = mine / "part-00001.h5"
    content = bytearray(before[path.name])
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    told = radboost("store", "verify", mine, "--dry-run", code=1).output
    assert "part-00001.h5" in told
    assert "part-00000.h5" not in told
    assert path.exists()
    assert "set aside: part-00001.h5" in radboost("store", "verify", mine, code=1).output
    others = {p.name: p.stat().st_mtime_ns for p in mine.glob("part-*.h5")}
    assert "is missing" not in radboost("store", "info", mine, code=1).stderr
    radboost("extract", cohort, "--out", mine, *BACKBONE, "--shard-rows", 64)
    assert {p.name: p.read_bytes() for p in mine.glob("part-*")} == before
    assert {n: (mine / n).stat().st_mtime_ns for n in others} == others
    assert "every byte is sound" in radboost("store", "verify", mine).output


def test_verify_tells_even_where_it_may_not_write(radboost, mine, monkeypatch):
    (mine / "part-00000.h5").write_bytes(b"")

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("radboost.data.store.lock.os.open", refuse)
    text = radboost("store", "verify", mine, code=1).output
    assert "part-00000.h5" in text
    assert "Read-only" in text


def test_diff_names_fields_and_measures_values(radboost, cohort, store, tmp_path):
    assert "fingerprint: the same" in radboost("store", "diff", store, store).output
    words = ("--backbone", "test_resnet", "--random-init", 1, "--size", 96, "--workers", 1)
    radboost("extract", cohort, "--out", tmp_path / "s", *words)
    text = radboost("store", "diff", store, tmp_path / "s").output
    assert "backbone.weights_sha256" in text
    assert "least cosine" in text


def test_merge_refuses_another_fingerprint_and_unites_equals(radboost, store, mine, tmp_path):
    radboost("store", "merge", store, mine, "--out", tmp_path / "m")
    merged, one = EmbeddingStore.open(tmp_path / "m"), EmbeddingStore.open(store)
    assert merged.crop_ids() == one.crop_ids()
    assert [p.sha256 for p in merged.parts] == [p.sha256 for p in one.parts]
    header = json.loads((mine / "store.json").read_text()) | {"key_id": "another"}
    (mine / "store.json").write_text(json.dumps(header))
    assert "different keys" in radboost("store", "merge", store, mine, "--out", tmp_path / "n", code=2).stderr
    assert "--overwrite" in radboost("store", "merge", store, mine, "--out", tmp_path / "m", code=2).stderr


def test_export_writes_what_numpy_reads(radboost, store, tmp_path):
    text = radboost("store", "export", store, "--to", "npy", "--out", tmp_path / "x").output
    assert "avg.npy" in text
    assert np.load(tmp_path / "x/avg.npy").shape == (
        len(EmbeddingStore.open(store)),
        EmbeddingStore.open(store).width("avg"),
    )
    assert "parquet" in radboost("store", "export", store, "--to", "csv", "--out", tmp_path / "y", code=2).stderr


def test_cohort_info_counts(radboost, cohort, shared):
    for folder, kind in ((cohort, "private"), (shared, "shared")):
        text = radboost("cohort", "info", folder).output
        assert f"{kind}" in text.splitlines()[-1]
        assert "target cancer" in text


def test_a_shared_cohort_serves_every_stage_after_extract(radboost, cohort, shared, store, tmp_path):
    for name, folder in (("private", cohort), ("shared", shared)):
        radboost("fit-boost", folder, store, "--out", tmp_path / f"{name}-run", "--learner", "xgboost")
    runs = [Predictions.read(tmp_path / f"{n}-run/predictions.parquet").table for n in ("private", "shared")]
    # Two of four metadata columns were shared: what sees embeddings only must not differ by a bit.
    image = [t[t["member"].str.endswith("/image")].reset_index(drop=True) for t in runs]
    pd.testing.assert_frame_equal(*image)
    radboost("blend", "safe", tmp_path / "shared-run", "--out", tmp_path / "blend")
    words = ("--cohort", shared, "--store", store, "--split", "holdout", "--out", tmp_path / "p.csv")
    assert "AUC" in radboost("predict", tmp_path / "blend", *words).output
    units = Cohort.load(cohort).units
    held = units.loc[units["split"] == "holdout", "unit_id"]
    assert sorted(pd.read_csv(tmp_path / "p.csv")["prediction_id"]) == sorted(held)


def test_a_shared_cohort_cannot_be_extracted(radboost, shared, tmp_path):
    result = radboost("extract", shared, "--out", tmp_path / "s", *BACKBONE, code=2)
    assert "shared cohort" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("words", [("info",), ("ls",), ("verify",), ("export", "--to", "npy", "--out", "x")])
def test_what_is_no_store_is_said_to_be_none(radboost, cohort, words):
    command, *options = words
    assert "is not a radboost store" in radboost("store", command, cohort, *options, code=2).stderr
