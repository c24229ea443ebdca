"""Studies of several series: points become crops, every unit sees its own, and each crop is there once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radboost.data.cohort import BOX, Cohort
from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.lumbar import LumbarPhantom, write_rsna_lumbar
from radboost.data.render import render
from radboost.data.share import share_cohort
from radboost.data.slices.build import choose_series
from radboost.data.slices.choose import chosen, nearest, square
from radboost.data.slices.coordinates import given_points, plain
from radboost.data.slices.stack import Stack, Study
from radboost.data.task import OPPOSITE
from radboost.data.tasks import get_task
from radboost.data.volumes import OWN
from radboost.errors import TableError, TaskError, UserError

LUMBAR = get_task("rsna-lumbar")
CONFIG = IndexConfig(workers=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lumbar")
    write_rsna_lumbar(folder, LumbarPhantom(studies=8, seed=1, pixels=48, lacking=0.3, twice=0.5))
    return folder


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """Headers are read once for all cohorts of this module."""
    return IndexConfig(workers=1, journal=tmp_path_factory.mktemp("seen") / "scan.jsonl")


@pytest.fixture(scope="module")
def cohort(folder, again):
    return index(folder, LUMBAR, again).cohort


def sighted(cohort: Cohort) -> pd.DataFrame:
    """Links with what is known of unit and crop."""
    units = cohort.unit_features.assign(
        study=cohort.unit_features["unit"].str.split("_").str[0],
        level=cohort.unit_features["metadata.level"],
        side=cohort.unit_features["unit"].str.extract("_(left|right)_")[0].map({"left": "L", "right": "R"}).fillna(""),
    )
    return cohort.links.merge(units, on="unit").merge(cohort.manifest, on="crop_id", suffixes=("", "_crop"))


def test_25_units_a_study_with_weights_by_grade(cohort):
    assert (cohort.targets.groupby("group").size() == 25).all()
    weights = cohort.targets.groupby("label")["task_weight"].unique().map(list).to_dict()
    assert weights == {-1: [1.0], 0: [1.0], 1: [2.0], 2: [4.0]}
    # A unit whose kinds are all lacking is still one to predict.
    assert len(cohort.units) == 200


def test_a_unit_sees_its_own_study_level_and_side(cohort):
    seen = sighted(cohort)
    assert (seen["study"] == seen["group"]).all()
    assert set(seen["slot"].str.removesuffix(OPPOSITE)) <= set(LUMBAR.slots.values)
    assert (seen["slot"].str.removesuffix(OPPOSITE).str.removesuffix(OWN) == seen["view"]).all()
    both = seen[(seen["side"] != "") & (seen["laterality"] != "")]
    assert ((both["side"] != both["laterality"]) == both["slot"].str.endswith(OPPOSITE)).all()
    # Without a side there is no other one.
    assert not seen.loc[seen["side"] == "", "slot"].str.endswith(OPPOSITE).any()
    # Crops of the right side in axial slices are shown reversed, and no others.
    manifest = cohort.manifest
    expected = (manifest["view"] == "axial/level") & (manifest["laterality"] == "R")
    assert (manifest["mirrored"] == expected).all()
    assert expected.any()


def test_crops_of_a_units_own_finding_stand_apart_from_all_others(cohort):
    # Averaged with what other findings look like, or among slots that tell nothing of it, a finding drowns.
    seen = sighted(cohort)
    own = seen[seen["slot"].str.endswith(OWN)]
    kinds = own.groupby("metadata.part")["slot"].unique().map(list).to_dict()
    assert kinds == {"spinal": ["t2/level/own"], "foraminal": ["t1/level/own"], "subarticular": ["axial/level/own"]}
    assert (own["side"] == own["laterality"]).all()
    # They are seen in the slot of their kind as well, and are the same crops.
    pairs = set(zip(seen["unit"], seen["crop_id"], seen["slot"], strict=True))
    assert {
        (u, c, s.removesuffix(OWN)) for u, c, s in zip(own["unit"], own["crop_id"], own["slot"], strict=True)
    } < pairs
    assert own.groupby("unit").size().max() == LUMBAR.volumes.points.slices


def test_each_crop_is_there_once_however_many_units_use_it(cohort):
    assert not cohort.manifest.duplicated(["path", *BOX, "mirrored"]).any()
    uses = cohort.links.groupby("crop_id")["unit"].nunique()
    assert set(uses.index) == set(cohort.manifest["crop_id"])
    whole = cohort.manifest["crop_id"][cohort.manifest["view"] == "t2"]
    assert (uses[whole] == 25).all()


def test_whole_slices_keep_the_budget_and_hold_the_coordinates_slices(folder, cohort, again):
    budget = {"t1": 10, "t2": 10, "axial": 20}
    whole = cohort.manifest[cohort.manifest["view"].isin(budget)]
    edges = whole[["box_left", "box_top", "box_right", "box_bottom"]].to_numpy()
    assert (edges == [0, 0, 48, 48]).all()
    counts = whole.groupby(["group", "view"]).size()
    assert all(n <= budget[view] for (_, view), n in counts.items())
    points = pd.read_csv(folder / "train_label_coordinates.csv", dtype=str)
    marked = "train_images/" + points["study_id"] + "/" + points["series_id"] + "/" + points["instance_number"] + ".dcm"
    assert set(marked) <= set(whole["path"])
    # A budget below the number of marked slices gives way to them.
    kinds = tuple(replace(kind, slices=1) for kind in LUMBAR.volumes.kinds)
    tight = replace(cohort.task, volumes=replace(cohort.task.volumes, kinds=kinds))
    few = index(folder, tight, again).cohort.manifest
    few = few[few["view"].isin(budget)]
    assert set(marked) <= set(few["path"])
    assert len(few) < len(whole)


def test_a_shared_cohort_keeps_what_units_are_and_no_names(cohort, tmp_path):
    shared = share_cohort(cohort, tmp_path / "shared", ("part", "level"))
    own = cohort.unit_features.set_index("unit").loc[cohort.units["unit"]]
    given = shared.unit_features.set_index("unit").loc[cohort.units["unit_id"]]
    assert (own["metadata.part"].to_numpy() == given["metadata.part"].to_numpy()).all()
    assert not set(shared.unit_features["unit"]) & set(cohort.unit_features["unit"])


def test_split_shows_a_unit_its_own_kind_of_series_alone(folder, cohort, again):
    split = index(folder, choose_series(cohort.task, "split", None), again).cohort
    seen = sighted(split)
    kinds = seen.groupby("metadata.part")["view"].unique().map(lambda views: {v.split("/")[0] for v in views})
    assert kinds.to_dict() == {"spinal": {"t2"}, "foraminal": {"t1"}, "subarticular": {"axial"}}
    assert choose_series(LUMBAR, "split", None).volumes.sees == "split"
    shared = sighted(cohort).groupby("metadata.part")["view"].nunique()
    assert (shared == 6).all()


def test_points_may_all_be_located_so_that_training_looks_like_new_exams(folder, cohort, again):
    located = index(folder, choose_series(LUMBAR, None, "located"), again).cohort
    assert located.task.volumes.points.locator == cohort.task.volumes.points.locator is not None
    edges = [
        set(c.manifest.loc[c.manifest["view"] == "t2/level", ["path", *BOX]].itertuples(index=False, name=None))
        for c in (cohort, located)
    ]
    # About as many crops, and not just where they were marked.
    assert abs(len(edges[0]) - len(edges[1])) < len(edges[0]) / 4
    assert len(edges[0] & edges[1]) < len(edges[0]) / 2
    with pytest.raises(TaskError, match="sees is unknown"):
        choose_series(LUMBAR, "both", None)
    with pytest.raises(UserError, match="need a task with volumes"):
        choose_series(get_task("rsna-breast"), "split", None)


def test_crops_are_millimetres_wide_about_the_marked_pixel(folder, cohort):
    points = pd.read_csv(folder / "train_label_coordinates.csv")
    row = points[points["condition"] == "Spinal Canal Stenosis"].iloc[7]
    path = f"train_images/{row.study_id}/{row.series_id}/{row.instance_number}.dcm"
    found = cohort.manifest[(cohort.manifest["path"] == path) & (cohort.manifest["view"] == "t2/level")]
    middle = found[["box_left", "box_right"]].mean(axis=1), found[["box_top", "box_bottom"]].mean(axis=1)
    away = np.hypot(middle[0] - row.x - 0.5, middle[1] - row.y - 0.5)
    assert away.min() <= np.hypot(0.75, 0.75)


def test_a_mirrored_crop_is_the_crop_reversed(folder, cohort):
    # One that is not cut at an edge: what is padded on either side may differ by a pixel.
    turned = cohort.manifest[cohort.manifest["mirrored"]]
    row = turned[turned["box_right"] - turned["box_left"] == turned["box_bottom"] - turned["box_top"]].iloc[0]
    box = tuple(row[BOX[:4]].astype(float))
    policy, out = PixelPolicy.of("box", 40), np.zeros((2, 1, 40, 40), np.uint16)
    for number, flip in enumerate((False, True)):
        info = render(CropJob(str(folder / row["path"]), 0, box, "px", flip), policy, out[number])
        assert info.mirrored == flip
    np.testing.assert_array_equal(out[1], out[0][:, :, ::-1])


def made(numbers=(1, 2, 3), gap=5.0) -> Stack:
    """Axial slices of 20 x 30 pixels, 2 mm between rows and 1 mm between columns."""
    n = len(numbers)
    origin = np.array([[-10.0, -20.0, gap * k] for k in range(n)])
    axes = np.tile([[[1.0, 0, 0], [0, 2.0, 0]]], (n, 1, 1))
    size = np.tile([20, 30], (n, 1))
    return Stack("s", "axial", tuple(f"{k}.dcm" for k in range(n)), np.array(numbers), size, origin, axes)


def test_points_come_back_from_where_they_were_put():
    stack = made()
    point = stack.place(np.array([1]), np.array([[3.0, 4.0]]))[0]
    np.testing.assert_allclose(point, [-7, -12, 5])
    distance, pixel = stack.project(point)
    np.testing.assert_allclose(distance, [5, 0, 5])
    np.testing.assert_allclose(pixel[1], [3, 4])
    assert [place for place, _ in nearest([stack], point, 2)] == [(0, 1), (0, 0)]
    # Out of the frame, or too far off, no slice shows it.
    assert nearest([stack], np.array([-12.0, 0, 5]), 3) == []
    assert nearest([stack], np.array([0.0, 0, 40]), 3) == []
    # 8 mm are 8 columns and 4 rows; at the frame's edge the box is cut.
    assert square(stack, 1, np.array([10.0, 10.0]), 8.0) == (6.0, 8.0, 14.0, 12.0)
    assert square(stack, 1, np.array([0.0, 19.0]), 8.0) == (0.0, 18.0, 4.0, 20.0)


@pytest.mark.parametrize("most", [0, 1, 4, 6, 99])
def test_a_budget_is_spread_over_all_series(most):
    stacks = [made((1, 2, 3)), made((1, 2, 3))]
    found = chosen(stacks, [(1, 2)], most)
    assert (1, 2) in found
    assert len(found) == len(set(found)) == min(max(most, 1), 6)
    if most == 4:
        assert {number for number, _ in found} == {0, 1}


def test_names_of_points_are_those_of_headings():
    assert plain("Left Neural Foraminal Narrowing") + "_" + plain("L5/S1") == "left_neural_foraminal_narrowing_l5_s1"


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("train_series_descriptions.csv", "Axial T2", "Axial T3", "no kind of series.*Axial T3"),
        ("train_series_descriptions.csv", "series_id", "series", "lacks columns.*series_id"),
    ],
)
def test_a_bad_table_beside_the_main_one_is_told(folder, tmp_path, name, old, new, says):
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    text = (folder / name).read_text()
    (tmp_path / name).unlink()
    (tmp_path / name).write_text(text.replace(old, new))
    with pytest.raises(TableError, match=says):
        index(tmp_path, LUMBAR, CONFIG)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match="holds no table of the series"):
        index(tmp_path, LUMBAR, CONFIG)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("instance_number", "slice", "lacks columns.*instance_number"),
        (",L3/L4,", ",L3/L4,?", "holds what is no number"),
    ],
)
def test_bad_coordinates_are_told(folder, tmp_path, old, new, says):
    text = (folder / "train_label_coordinates.csv").read_text()
    (tmp_path / "train_label_coordinates.csv").write_text(text.replace(old, new))
    studies = {name: Study(name, {}) for name in (line.split(",")[0] for line in text.splitlines()[1:])}
    with pytest.raises(TableError, match=says):
        given_points(tmp_path, LUMBAR.volumes, LUMBAR.volumes.points, studies)
