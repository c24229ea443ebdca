"""A crop without something: what the network makes of it is what it makes of such a crop, and of nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from radboost.data.jobs import crop_jobs
from radboost.errors import UserError
from radboost.extractor.extract import extract
from radboost.extractor.probe import Probe, filled, shuffled
from radboost.extractor.windows import Windows


@pytest.fixture
def crop():
    pixels = np.random.default_rng(0).integers(9000, 60000, (1, 64, 64)).astype(np.uint16)
    pixels[:, :, 40:] = 0
    return pixels


def test_the_whole_crop_is_embedded_as_a_store_holds_it(cohort, config, tmp_path, inline):
    made = config(dtype="float32")
    store = extract(cohort, tmp_path / "store", made).store
    with Probe(made) as probe:
        found = list(probe.crops(list(crop_jobs(cohort, made.pixels, range(3)))))
        vectors = probe.embed(np.stack([pixels for pixels, _ in found]))
    rows = store.rows_of(cohort.manifest["crop_id"].tolist()[:3])
    np.testing.assert_allclose(vectors["avg"], store.read("avg", rows), rtol=1e-5, atol=1e-6)


def test_a_file_that_cannot_be_read_is_no_crop(cohort, config, inline):
    jobs = list(crop_jobs(cohort, config().pixels, range(2)))
    (cohort.root / "broken.png").write_text("no picture")
    broken = type(jobs[0])(str(cohort.root / "broken.png"))
    with Probe(config()) as probe:
        assert [made is None for made in probe.crops([jobs[0], broken])] == [False, True]
    (cohort.root / "broken.png").unlink()


@pytest.mark.parametrize(
    ("name", "pool"),
    [("test_resnet", ("avg", "avgmax", "channelmax:2", "max")), ("test_vit", ("avg", "cls", "token-mean"))],
)
def test_positions_left_out_are_not_pooled(crop, config, name, pool):
    made = config(backbone={"name": name, "pool": pool}, dtype="float32")
    probe = Probe(made)
    found = probe.left_out(crop, 1 / 4, 1)
    with torch.inference_mode():
        features = probe.backbone.features(probe._images(crop[None])).float()
    if features.ndim == 4:
        features = features.flatten(2).transpose(1, 2)
    prefix = probe.backbone.layout.prefix
    rows, columns = found.windows.shape
    place = np.arange(rows * columns).reshape(rows, columns)
    assert len(found.windows) >= 4
    for number, (left, top, right, bottom) in enumerate(found.windows):
        gone = place[top:bottom, left:right].ravel()
        kept = np.delete(features[0, prefix:].numpy(), gone, axis=0)
        whole = np.delete(features[0].numpy(), gone + prefix, axis=0)
        wanted = {"avg": kept.mean(0), "max": kept.max(0), "avgmax": (kept.mean(0) + kept.max(0)) / 2}
        wanted |= {"cls": features[0, 0].numpy(), "token-mean": whole.mean(0)}
        wanted["channelmax-2"] = kept.max(0).reshape(-1, 2).max(1)
        for each, vectors in found.vectors.items():
            np.testing.assert_allclose(vectors[number], wanted[each], rtol=1e-5, atol=1e-5)


def test_a_class_token_alone_has_no_positions(crop, config):
    with pytest.raises(UserError, match="class token"):
        Probe(config(backbone={"name": "test_vit", "pool": ("cls",)})).left_out(crop, 1 / 4, 1)


@pytest.mark.parametrize("fill", ["blur", "black", "grey"])
def test_a_covered_window_is_a_crop_with_that_window_covered(crop, config, fill):
    probe = Probe(config(dtype="float32"))
    found = probe.occluded(crop, 1 / 4, 1 / 2, fill)
    cover = filled(crop, fill, 16)
    windows = list(found.windows)
    for row, number in list(enumerate(found.tried))[::7]:
        left, top, right, bottom = windows[number]
        changed = crop.copy()
        changed[:, top:bottom, left:right] = cover[:, top:bottom, left:right]
        np.testing.assert_allclose(
            found.vectors["avg"][row], probe.embed(changed[None])["avg"][0], rtol=1e-4, atol=1e-6
        )
    # Black on black changes nothing: no time is spent on it.
    left_alone = sorted(set(range(len(windows))) - set(found.tried))
    assert (fill == "black") == bool(left_alone)
    assert all(windows[number][0] >= 40 for number in left_alone)


def test_no_other_fill_is_known(crop):
    with pytest.raises(UserError, match="blur"):
        filled(crop, "white", 8)


def test_shuffled_weights_are_the_same_numbers_elsewhere(config):
    first, again, other = (Probe(config()).backbone for _ in range(3))
    before = {name: w.clone() for name, w in first.model.named_parameters()}
    for backbone, seed in ((first, 1), (again, 1), (other, 2)):
        shuffled(backbone, seed)
    for (name, weights), same, apart in zip(
        first.model.named_parameters(), again.model.parameters(), other.model.parameters(), strict=True
    ):
        assert torch.equal(weights, same)
        assert torch.equal(weights.flatten().sort().values, before[name].flatten().sort().values)
        if weights.ndim > 1:
            assert not torch.equal(weights, before[name])
            assert not torch.equal(weights, apart)


def test_a_map_is_highest_at_the_centre_of_its_best_window():
    windows = Windows.over((64, 64), 1 / 4, 1 / 2)
    effects = np.zeros(len(windows))
    effects[10] = 2.0
    left, top, right, bottom = list(windows)[10]
    drawn = windows.drawn(effects, 128)
    y, x = np.unravel_index(drawn.argmax(), drawn.shape)
    assert abs(x + 0.5 - (left + right)) <= 1
    assert abs(y + 0.5 - (top + bottom)) <= 1
    assert drawn.min() == 0


@pytest.mark.parametrize(("share", "step"), [(0, 1), (0.6, 1), (0.2, 0), (0.2, 1.5)])
def test_windows_out_of_range_are_refused(share, step):
    with pytest.raises(UserError, match="range"):
        Windows.over((8, 8), share, step)
