"""What an extraction does beside embedding: views, crops of one frame, scarce memory, signals, the account."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from radboost.data import render as rendering
from radboost.data.cohort import BOX, Cohort
from radboost.data.identity import keyed_hashes
from radboost.data.store import EmbeddingStore
from radboost.errors import MismatchError, PixelError, RadboostError
from radboost.extractor.accounting import RUNS, Meter
from radboost.extractor.backbone import Backbone
from radboost.extractor.extract import extract
from radboost.extractor.shards import Cuts
from radboost.extractor.views import ViewConfig


def boxed(cohort: Cohort, times: int) -> Cohort:
    """A cohort with several boxes an image, one of them outside the frame."""
    rows = cohort.manifest.loc[cohort.manifest.index.repeat(times)].reset_index(drop=True)
    number = np.tile(np.arange(times), len(cohort.manifest))
    for name, edge in zip(BOX[:4], (number, number, number + 40, number + 48), strict=True):
        rows[name] = edge.astype(float)
    rows.loc[3, BOX[:4]] = [900.0, 900.0, 950.0, 950.0]
    rows["box_unit"] = "px"
    rows["crop_id"] = keyed_hashes(cohort.key, "crop", rows["crop_id"] + number.astype(str))
    return replace(cohort, manifest=rows, folder=None)


@pytest.mark.usefixtures("inline")
class TestViews:
    def test_each_view_is_a_row_and_the_clean_one_is_what_it_is_without_views(self, cohort, config, tmp_path):
        plain = extract(cohort, tmp_path / "a", config()).store
        several = extract(cohort, tmp_path / "b", config(views=ViewConfig(2))).store
        ids = cohort.manifest["crop_id"].tolist()
        assert len(several) == 3 * len(plain)
        np.testing.assert_array_equal(several.read("avg", several.rows_of(ids)), plain.read("avg", plain.rows_of(ids)))
        assert several.column("view").tolist() == [0, 1, 2] * len(ids)
        first, second = (several.read("avg", several.rows_of(ids, view)) for view in (1, 2))
        assert not np.allclose(first, second, atol=1e-3)

    def test_views_depend_on_no_neighbour(self, cohort, config, tmp_path):
        whole = extract(cohort, tmp_path / "a", config(views=ViewConfig(1), dtype="float32")).store
        one = replace(cohort, manifest=cohort.manifest.iloc[[5]].reset_index(drop=True), folder=None)
        alone = extract(one, tmp_path / "b", config(views=ViewConfig(1), dtype="float32")).store
        row = whole.rows_of(one.manifest["crop_id"].tolist(), view=1)
        np.testing.assert_allclose(alone.read("avg", [1]), whole.read("avg", row), rtol=1e-4, atol=1e-5)

    def test_other_views_are_another_store(self, cohort, config, tmp_path):
        extract(cohort, tmp_path / "a", config(views=ViewConfig(1)))
        with pytest.raises(MismatchError, match="views"):
            extract(cohort, tmp_path / "a", config(views=ViewConfig(1, seed=7)))


@pytest.mark.usefixtures("inline")
def test_several_crops_of_a_frame_decode_it_once(cohort, config, tmp_path, monkeypatch):
    opened = []
    real = rendering._open
    monkeypatch.setattr(rendering, "_open", lambda path, *rest: (opened.append(path), real(path, *rest))[1])
    several = boxed(cohort, 5)
    settings = config(pixels={"crop": "box"})
    result = extract(several, tmp_path / "store", settings)
    assert len(opened) == len(cohort.manifest)
    # The box outside its frame costs one crop, not its neighbours.
    assert (result.new, result.quarantined) == (5 * len(cohort.manifest) - 1, 1)
    one = replace(several, manifest=several.manifest.iloc[[7]].reset_index(drop=True))
    alone = extract(one, tmp_path / "alone", settings).store
    row = result.store.rows_of(one.manifest["crop_id"].tolist())
    np.testing.assert_allclose(alone.read("avg"), result.store.read("avg", row), rtol=2e-3, atol=1e-4)


@pytest.mark.usefixtures("inline")
class TestScarceMemory:
    @staticmethod
    def cramped(monkeypatch, room: int) -> list[int]:
        real, seen = Backbone.embed, []

        def embed(self, images: torch.Tensor):
            seen.append(len(images))
            if len(images) > room:
                raise torch.OutOfMemoryError("pretended")
            return real(self, images)

        monkeypatch.setattr(Backbone, "embed", embed)
        return seen

    def test_the_batch_is_halved_and_the_result_is_the_same(self, cohort, config, tmp_path, monkeypatch):
        wanted = extract(cohort, tmp_path / "a", config(dtype="float32")).store.read("avg")
        seen = self.cramped(monkeypatch, 1)
        found = extract(cohort, tmp_path / "b", config(dtype="float32")).store
        np.testing.assert_allclose(found.read("avg"), wanted, rtol=1e-4, atol=1e-5)
        # Tried at 4 and at 2, then one by one, and never at 4 again.
        assert seen == [4, 2, *[1] * 24]

    def test_no_room_for_one_image_is_one_error(self, cohort, config, tmp_path, monkeypatch):
        self.cramped(monkeypatch, 0)
        with pytest.raises(RadboostError, match="a single image"):
            extract(cohort, tmp_path / "a", config())


@pytest.mark.usefixtures("inline")
class TestAccount:
    def test_every_run_is_recorded_beside_the_store(self, cohort, config, tmp_path):
        out = tmp_path / "store"
        part = replace(cohort, manifest=cohort.manifest.iloc[:8].reset_index(drop=True), folder=None)
        extract(part, out, config())
        result = extract(cohort, out, config())
        extract(cohort, out, config())  # nothing to do, nothing to record
        lines = [json.loads(line) for line in (out / RUNS).read_text().splitlines()]
        assert [line["crops"] for line in lines] == [8, 16]
        assert lines[1]["bottleneck"] == result.account.bottleneck
        assert lines[1]["seconds"]["total"] >= lines[1]["elapsed"]
        assert result.account.peak_bytes["main"] > 0

    @pytest.mark.parametrize(
        ("device", "decoding", "forward", "write", "says"),
        [
            ("cuda", 1.96, 0.39, 0.0, "decoding: 2 workers 98% busy, device 39% busy"),
            ("cuda", 0.8, 0.97, 0.0, "network: 2 workers 40% busy, device 97% busy"),
            ("cpu", 0.6, 0.95, 0.0, "network, on the cores"),
            ("cuda", 0.1, 0.1, 0.95, "writing"),
            ("cuda", 0.5, 0.5, 0.0, "nothing was busy"),
        ],
    )
    def test_the_sentence_names_what_was_busy(self, monkeypatch, device, decoding, forward, write, says):
        monkeypatch.setattr("radboost.extractor.accounting._device_peak", lambda _: 0)
        meter = Meter(forward=forward, write=write, workers={1: decoding / 2, 2: decoding / 2})
        monkeypatch.setattr(time, "perf_counter", lambda: meter.begun + 1.0)
        account = meter.account(10, 2, torch.device(device), ("x", "fp32", 4), 0.0)
        assert account.bottleneck.startswith(says)


@pytest.mark.usefixtures("inline")
def test_removed_images_are_counted_and_stay(cohort, config, tmp_path):
    out = tmp_path / "store"
    extract(cohort, out, config())
    less = replace(cohort, manifest=cohort.manifest.iloc[3:].reset_index(drop=True), folder=None)
    result = extract(less, out, config())
    assert (result.removed, result.new, len(result.store)) == (3, 0, 24)


@pytest.mark.usefixtures("inline")
def test_an_overwritten_store_stays_until_there_is_something_better(cohort, config, tmp_path, monkeypatch):
    out = tmp_path / "store"
    extract(cohort, out, config())
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with monkeypatch.context() as patch, pytest.raises(RadboostError, match="a single image"):
        TestScarceMemory.cramped(patch, 0)
        extract(cohort, out, config(dtype="float32"), overwrite=True)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert extract(cohort, out, config(dtype="float32"), overwrite=True).store.dtype == np.float32


@pytest.mark.usefixtures("inline")
def test_strict_ends_at_the_first_failure(cohort, config, tmp_path):
    several = boxed(cohort, 2)
    with pytest.raises(PixelError, match=r"\.dcm.*outside the frame.*--strict"):
        extract(several, tmp_path / "store", config(pixels={"crop": "box"}, strict=True))


def test_a_shard_without_a_length_ends_with_what_was_cut():
    cuts = Cuts(100, 4, None)
    assert [cuts.stop_after(0), cuts.stop_after(4)] == [4, 8]
    cuts.end_early()
    assert cuts.stop_after(8) == 8
    assert cuts.closes(8)
    assert not cuts.closes(4)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_shard_in_hand(cohort, config, tmp_path, number):
    script = """
        import sys, time
        from pathlib import Path
        sys.path.insert(0, sys.argv[3])
        import conftest
        from radboost.data.cohort import Cohort
        from radboost.extractor import work
        from radboost.extractor.extract import extract

        class Slow(conftest.InlinePool):
            def map(self, function, jobs):
                for count, item in enumerate(super().map(function, jobs)):
                    if count == 10:
                        print("in the second shard", flush=True)
                        time.sleep(1.5)
                    yield item

        work.Pool = Slow
        try:
            extract(Cohort.load(Path(sys.argv[1])), Path(sys.argv[2]), conftest.make_config())
        except KeyboardInterrupt:
            sys.exit(130)
    """
    words = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), cohort.folder, tmp_path / "store"]
    child = subprocess.Popen([*map(str, words), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "in the second shard"
    child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode == 130
    store = EmbeddingStore.open(tmp_path / "store")
    # Two shards of eight are whole, the third was not begun.
    assert [part.rows for part in store.parts] == [8, 8]
    assert pd.Series(store.crop_ids()).tolist() == cohort.manifest["crop_id"].tolist()[:16]
