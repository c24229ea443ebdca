from __future__ import annotations

import csv
import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from radboost.data.crop import CropJob
from radboost.data.pool import Limits
from radboost.data.render import render
from radboost.data.store import EmbeddingStore, StoreWriter, store_lock
from radboost.errors import MismatchError, RadboostError, UserError
from radboost.extractor import extract as module
from radboost.extractor.backbone import load_backbone
from radboost.extractor.extract import extract


def shards(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.glob("part-*.h5"))}


class Listener:
    def __init__(self):
        self.steps, self.total, self.said = 0, 0, []

    def start(self, what, total):
        self.total = total

    def advance(self, steps=1):
        self.steps += steps

    def say(self, text):
        self.said.append(text)


@pytest.fixture
def broken(images, tmp_path, index):
    """A cohort of 24 good files, two that are no image, and one that is not there."""
    root = tmp_path / "copy"
    shutil.copytree(images, root)
    folder = root / "patient-01-SECRET"
    (folder / "bad-0.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"nonsense")
    (folder / "bad-1.png").write_bytes(b"not a png")
    paths = [p.relative_to(root).as_posix() for p in root.rglob("*.*")]
    return index(root, tmp_path / "broken-cohort", sorted([*paths, "patient-01-SECRET/gone.dcm"]))


def test_the_real_pool_gives_every_crop_a_row_in_order(cohort, config, tmp_path):
    listener = Listener()
    result = extract(cohort, tmp_path / "store", config(workers=2, limits=Limits(seconds=120)), listener)
    assert (result.crops, result.new, result.reused, result.quarantined) == (24, 24, 0, 0)
    assert result.store.crop_ids() == cohort.manifest["crop_id"].tolist()
    assert [part.rows for part in result.store.parts] == [8, 8, 8]
    assert (listener.total, listener.steps) == (24, 24)
    assert result.forward_passes == 6
    stages = {"load", "wait", "read", "decode", "crop", "transfer", "forward", "write", "total"}
    assert stages == result.account.seconds.keys()
    assert all(seconds > 0 for seconds in result.account.seconds.values())
    assert len(result.account.workers) == 2
    values = result.store.read("avg")
    assert values.shape == (24, 96)
    assert len(np.unique(values, axis=0)) == 24


@pytest.mark.usefixtures("inline")
class TestReuse:
    def test_a_full_store_is_not_computed_again(self, cohort, config, tmp_path, monkeypatch):
        first = extract(cohort, tmp_path / "store", config())
        files = {p.name: p.read_bytes() for p in (tmp_path / "store").iterdir()}

        def never(*args, **kwargs):
            raise AssertionError("reuse must build no network and read no pixel")

        monkeypatch.setattr(module, "load_backbone", never)
        monkeypatch.setattr("radboost.extractor.work.Pool", never)
        listener = Listener()
        again = extract(cohort, tmp_path / "store", config(), listener)
        assert (again.new, again.reused, again.forward_passes) == (0, 24, 0)
        assert "no forward pass" in listener.said[0]
        assert {p.name: p.read_bytes() for p in (tmp_path / "store").iterdir()} == files
        assert np.array_equal(again.store.read("avg"), first.store.read("avg"))

    def test_failures_are_not_tried_again(self, broken, config, tmp_path, monkeypatch):
        extract(broken, tmp_path / "store", config())
        monkeypatch.setattr(module, "load_backbone", None)
        again = extract(broken, tmp_path / "store", config())
        assert (again.new, again.reused, again.quarantined) == (0, 24, 3)

    def test_added_images_become_new_shards(self, images, cohort, config, tmp_path, index):
        paths = cohort.manifest["path"].tolist()
        some = index(images, tmp_path / "some", paths[1::2])
        extract(some, tmp_path / "store", config())
        old = shards(tmp_path / "store")
        result = extract(cohort, tmp_path / "store", config())
        assert (result.new, result.reused) == (12, 12)
        assert old.items() <= shards(tmp_path / "store").items()
        whole = extract(cohort, tmp_path / "whole", config())
        rows = result.store.rows_of(whole.store.crop_ids())
        assert np.allclose(result.store.read("avg", rows), whole.store.read("avg"), atol=1e-4)

    @pytest.mark.parametrize("lost", ["part-00000.h5", "part-00001.h5", "part-00002.h5"])
    def test_a_lost_shard_alone_is_made_again(self, cohort, config, tmp_path, lost):
        extract(cohort, tmp_path / "store", config())
        before = shards(tmp_path / "store")
        (tmp_path / "store" / lost).unlink()
        result = extract(cohort, tmp_path / "store", config())
        assert (result.new, result.reused, result.forward_passes) == (8, 16, 2)
        assert shards(tmp_path / "store") == before

    @pytest.mark.parametrize(
        ("changes", "named", "same"),
        [
            ({"backbone": {"random_init": 1}}, "weights_sha256", "pixels"),
            ({"backbone": {"size": 96}}, "pixels.size", "precision"),
            ({"backbone": {"pool": ("max",)}}, "backbone.pools", "pixels"),
            ({"backbone": {"name": "test_byobnet"}}, "backbone.name", "pixels"),
            ({"pixels": {"mirror": True}}, "pixels.mirror", "backbone"),
            ({"precision": "bf16"}, "precision", "pixels"),
            ({"dtype": "float32"}, "dtype", "pixels"),
        ],
    )
    def test_another_fingerprint_is_refused_by_field(self, cohort, config, tmp_path, changes, named, same):
        extract(cohort, tmp_path / "store", config())
        before = shards(tmp_path / "store")
        with pytest.raises(MismatchError) as caught:
            extract(cohort, tmp_path / "store", config(**changes))
        assert named in str(caught.value)
        assert same not in str(caught.value)
        assert shards(tmp_path / "store") == before

    def test_overwrite_replaces_a_store(self, cohort, config, tmp_path):
        extract(cohort, tmp_path / "store", config())
        result = extract(cohort, tmp_path / "store", config(backbone={"size": 96}, shard_rows=24), overwrite=True)
        assert (result.new, len(result.store.parts)) == (24, 1)
        assert result.store.fingerprint["pixels"]["size"] == 96

    def test_overwrite_replaces_nothing_but_a_store(self, cohort, config, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").write_text("precious")
        for overwrite in (True, False):
            with pytest.raises(UserError, match="something else"):
                extract(cohort, tmp_path / "mine", config(), overwrite=overwrite)
        assert (tmp_path / "mine" / "thesis.tex").exists()

    def test_automatic_precision_is_that_of_the_store(self, cohort, config, tmp_path):
        extract(cohort, tmp_path / "store", config(precision="bf16"))
        assert extract(cohort, tmp_path / "store", config(precision="auto")).precision == "bf16"

    def test_a_second_extract_at_once_is_refused(self, cohort, config, tmp_path):
        (tmp_path / "store").mkdir()
        with store_lock(tmp_path / "store"), pytest.raises(UserError, match="another extract"):
            extract(cohort, tmp_path / "store", config())
        assert extract(cohort, tmp_path / "store", config()).new == 24


@pytest.mark.usefixtures("inline")
class TestQuarantine:
    def test_bad_files_are_told_in_the_cohort_and_the_run_goes_on(self, broken, config, tmp_path):
        result = extract(broken, tmp_path / "store", config())
        assert (result.crops, result.new, result.quarantined) == (27, 24, 3)
        with (broken.folder / "quarantine" / "extract-1.csv").open() as file:
            told = list(csv.DictReader(file))
        assert [Path(row["path"]).name for row in told] == ["bad-0.dcm", "bad-1.png", "gone.dcm"]
        assert all(row["kind"] and row["reason"] for row in told)
        failed = broken.manifest["path"].str.contains("bad|gone")
        assert result.store.failed_ids() == broken.manifest["crop_id"][failed].tolist()
        assert (result.store.rows_of(result.store.failed_ids()) == -1).all()

    def test_each_run_that_meets_failures_adds_its_own_file(self, broken, config, tmp_path):
        for name in ("a", "b"):
            extract(broken, tmp_path / name, config())
        assert sorted(p.name for p in (broken.folder / "quarantine").iterdir()) == [
            "extract-1.csv",
            "extract-2.csv",
            "index.csv",
        ]

    def test_a_failure_does_not_move_its_neighbours(self, broken, images, config, tmp_path, index):
        # The same 27 places, once with three failures and once with three good files there, embed the other 24 alike
        # to the bit: whether a file was read in time must not show in another one's row.
        mended = {p: p for p in broken.manifest["path"]}
        root = broken.root
        for name in ("bad-0.dcm", "bad-1.png", "gone.dcm"):
            suffix = ".png" if name.endswith("png") else ".dcm"
            source = next(images.rglob(f"*{suffix}"))
            mended[f"patient-01-SECRET/{name}"] = f"patient-01-SECRET/mended-{name}"
            shutil.copy(source, root / "patient-01-SECRET" / f"mended-{name}")
        good = index(root, tmp_path / "good", [mended[p] for p in broken.manifest["path"]])
        with_failures = extract(broken, tmp_path / "a", config()).store
        without = extract(good, tmp_path / "b", config()).store
        rows = without.rows_of(with_failures.crop_ids())
        assert np.array_equal(with_failures.read("avg"), without.read("avg", rows))

    def test_a_run_in_which_all_failed_is_an_error_and_can_be_mended(self, images, config, tmp_path, index, cohort):
        away = tmp_path / "away"
        lost = index(away, tmp_path / "lost", cohort.manifest["path"].tolist())
        with pytest.raises(RadboostError, match="no crop could be embedded"):
            extract(lost, tmp_path / "store", config())
        shutil.copytree(images, away)
        assert extract(lost, tmp_path / "store", config()).new == 24

    def test_a_shard_in_which_all_failed_keeps_its_place(self, images, config, tmp_path, index, cohort):
        paths = [f"a-gone/{k}.dcm" for k in range(8)] + cohort.manifest["path"].tolist()
        partly = index(images, tmp_path / "partly", paths)
        result = extract(partly, tmp_path / "store", config())
        assert [(part.rows, part.failed) for part in result.store.parts] == [(0, 8), (8, 0), (8, 0), (8, 0)]
        assert (result.new, result.quarantined, result.forward_passes) == (24, 8, 6)
        assert result.store.read("avg").shape == (24, 96)


@pytest.mark.usefixtures("inline")
class TestEmbeddings:
    def test_the_chain_is_scale_then_normalise_then_pool(self, cohort, config, tmp_path):
        # The same by hand, image by image, without the stream.
        asked = config(dtype="float32", backbone={"pool": ("avg", "max")})
        store = extract(cohort, tmp_path / "store", asked).store
        backbone = load_backbone(asked.backbone)
        crop = np.zeros(asked.pixels.shape, np.uint16)
        for row, path in enumerate(cohort.manifest["path"][:5]):
            render(CropJob(str(cohort.root / path)), asked.pixels, crop)
            grey = torch.from_numpy(crop.astype(np.float32) / 65535).expand(3, -1, -1)[None]
            mean, std = (torch.tensor(v).view(3, 1, 1) for v in (backbone.mean, backbone.std))
            with torch.inference_mode():
                features = backbone.model((grey - mean) / std)
            assert np.allclose(store.read("avg", [row])[0], features.mean((2, 3))[0], rtol=1e-4, atol=1e-5)
            assert np.allclose(store.read("max", [row])[0], features.amax((2, 3))[0], rtol=1e-4, atol=1e-5)

    def test_batches_and_shards_do_not_show(self, cohort, config, tmp_path):
        one = extract(cohort, tmp_path / "a", config(dtype="float32", batch_size=1, shard_rows=5)).store
        many = extract(cohort, tmp_path / "b", config(dtype="float32", batch_size=24, shard_rows=24)).store
        assert one.crop_ids() == many.crop_ids()
        assert np.allclose(one.read("avg"), many.read("avg"), rtol=1e-4, atol=1e-5)

    def test_bf16_agrees_with_fp32(self, cohort, config, tmp_path):
        a, b = (extract(cohort, tmp_path / p, config(precision=p)).store.read("avg") for p in ("fp32", "bf16"))
        cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        assert cosine.min() > 0.999

    def test_measured_shards_hold_the_same_rows(self, cohort, config, tmp_path):
        given = extract(cohort, tmp_path / "a", config()).store
        measured = extract(cohort, tmp_path / "b", config(shard_rows=None)).store
        assert measured.rows_per_shard % 4 == 0
        assert np.array_equal(given.read("avg"), measured.read("avg"))

    def test_values_beyond_float16_are_refused_not_cut(self, cohort, config, tmp_path, monkeypatch):
        real = module.load_backbone

        def loud(asked):
            backbone = real(asked)
            embed = backbone.model.forward
            backbone.model.forward = lambda images: embed(images) * 1e7
            return backbone

        monkeypatch.setattr(module, "load_backbone", loud)
        with pytest.raises(RadboostError, match="float16"):
            extract(cohort, tmp_path / "store", config())
        assert np.isfinite(extract(cohort, tmp_path / "wide", config(dtype="float32")).store.read("avg")).all()

    def test_values_that_are_not_finite_are_refused(self, cohort, config, tmp_path, monkeypatch):
        real = module.load_backbone

        def poisoned(asked):
            backbone = real(asked)
            next(backbone.model.parameters()).fill_(float("nan"))
            return backbone

        monkeypatch.setattr(module, "load_backbone", poisoned)
        with pytest.raises(RadboostError, match="not finite"):
            extract(cohort, tmp_path / "store", config())

    def test_three_windows_are_three_channels(self, images, cohort, config, tmp_path, index):
        paths = [p for p in cohort.manifest["path"] if p.endswith(".dcm")]
        ct = index(images, tmp_path / "ct", paths)
        windows = ((300.0, 800.0), (1000.0, 2000.0), (2000.0, 4000.0))
        three = extract(ct, tmp_path / "a", config(pixels={"windows": windows})).store
        turned = extract(ct, tmp_path / "b", config(pixels={"windows": windows[::-1]})).store
        assert len(three) == len(paths)
        assert not np.allclose(three.read("avg"), turned.read("avg"), atol=1e-4)


@pytest.mark.usefixtures("inline")
def test_no_identifier_is_in_the_store(broken, config, tmp_path):
    out = tmp_path / "store"
    extract(broken, out, config())
    secrets = {"SECRET", "NAME^", "1.2.826", "7777", "patient-", "image-", "bad-0", str(tmp_path), "hospital"}
    secrets |= set(broken.manifest["path"]) | set(broken.manifest["group"]) | {broken.key.hex()}
    content = b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file())
    assert broken.manifest["crop_id"][0].encode() in content
    assert [s for s in secrets if s.encode() in content or s.encode("utf-16-le") in content] == []


def test_a_full_disk_is_one_error_and_the_next_run_goes_on(cohort, config, tmp_path, monkeypatch, inline):
    real, calls = StoreWriter.add, []

    def full(self, rows, device):
        calls.append(1)
        if len(calls) == 2:
            monkeypatch.setattr("radboost.data.store.shard.os.fsync", _full)
        return real(self, rows, device)

    monkeypatch.setattr(StoreWriter, "add", full)
    with pytest.raises(RadboostError, match="No space left"):
        extract(cohort, tmp_path / "store", config())
    monkeypatch.undo()
    assert len(EmbeddingStore.open(tmp_path / "store")) == 8


def _full(handle):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.proof)])
def test_killed_at_any_moment_it_ends_with_the_same_bytes(cohort, config, tmp_path, kills):
    # In a process of its own, which forks one child per kill: at each fsync, and at random moments.
    script = Path(__file__).with_name("kill_extract.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(cohort.folder), str(tmp_path), str(kills), "7"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # Another process gave the same seed the same weights, or a resumed store would mix two networks.
    here = load_backbone(config().backbone).weights_sha256
    assert EmbeddingStore.open(tmp_path / "whole").fingerprint["backbone"]["weights_sha256"] == here
    told = json.loads(done.stdout)
    assert told["differing"] == []
    assert told["leftovers"] == []
    # The kills must have landed within the work, or nothing was shown.
    assert told["killed_at_fsync"] >= 10
    assert told["killed_at_random"] == kills
    assert told["resumed_with_shards"] >= 3
