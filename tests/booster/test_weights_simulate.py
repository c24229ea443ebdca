"""Weights that simulate a target set: what each method promises, what the weights cost, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radboost.booster.weights import WeightConfig, resolve_weights, simulate
from radboost.booster.weights import odds as odds_module
from radboost.booster.weights.balance import balance, entropy_weights, penalised_weights
from radboost.booster.weights.covariates import Column, Sample, choose_columns, unit_table
from radboost.booster.weights.measures import column_balance, ess_share, flattening
from radboost.booster.weights.odds import odds
from radboost.booster.weights.strata import cells, strata
from radboost.booster.weights.support import common_support
from radboost.data.cohort import METADATA, Cohort
from radboost.data.phantom.shift import ShiftPhantom, draw_shifted_pair
from radboost.errors import SolverError, TaskError, UserError

COLUMNS = (Column("age", False), Column("site", True))
METHODS = ("odds", "strata", "balance")


@pytest.fixture(scope="module")
def pair():
    return draw_shifted_pair(ShiftPhantom(150, 100, seed=1))


@pytest.fixture(scope="module")
def same():
    return draw_shifted_pair(ShiftPhantom(300, 300, strength=0, seed=2))


def sample(seed: int, n: int, shift: float = 0.0) -> Sample:
    random = np.random.default_rng(seed)
    table = pd.DataFrame({"age": random.normal(shift, 1, n), "site": random.choice(["A", "B"], n, p=[0.6, 0.4])})
    return Sample(table, np.arange(n) // 2 + 1000 * seed, np.ones(n), (random.random(n) < 0.3).astype(float))


def reorder(given: Sample, order: np.ndarray) -> Sample:
    table = given.table.iloc[order].reset_index(drop=True)
    return Sample(table, given.group[order], given.weight[order], given.y[order])


def changed(cohort: Cohort, **columns: object) -> Cohort:
    return replace(cohort, manifest=cohort.manifest.assign(**{METADATA + k: v for k, v in columns.items()}))


def weigh(method: str, source: Sample, target: Sample) -> np.ndarray:
    if method == "odds":
        return odds(source, target, COLUMNS, 0).ratio
    if method == "strata":
        mine, theirs = cells(source, target, COLUMNS[1:])
        return strata(source, target, mine, theirs)
    return balance(source, target, COLUMNS, None)[0]


@pytest.mark.parametrize("method", METHODS)
def test_weights_have_mean_1_and_bring_the_cohorts_together(pair, method):
    found = simulate(pair.source, pair.target, WeightConfig(method))
    assert found.weight[found.weight > 0].mean() == pytest.approx(1)
    assert (found.weight >= 0).all()
    assert found.unit.tolist() == pair.source.units["unit_id"].tolist()
    before, after = (max(b.ks[k] for b in found.balance) for k in (0, 1))
    assert after < before / 2
    assert found.share == pytest.approx(ess_share(found.weight, np.ones(len(found.weight))))
    # What fit-boost makes of the file is the same weights.
    given = dict(zip(found.unit.tolist(), found.weight.tolist(), strict=True))
    resolved = resolve_weights(pair.source.units, given, np.ones(len(found.unit), bool))
    np.testing.assert_allclose(resolved, found.weight / found.weight.mean())


def test_odds_find_the_true_density_ratio(pair):
    found = simulate(pair.source, pair.target)
    assert np.corrcoef(np.log(found.weight), np.log(pair.ratio))[0, 1] > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_without_a_shift_little_is_lost(same, method):
    found = simulate(same.source, same.target, WeightConfig(method))
    assert found.share > 0.9
    assert found.power == 1


def test_no_model_saw_a_group_that_it_weighs(monkeypatch):
    # Patients 0 to 29 are in both cohorts: neither side's rows of theirs may teach the model that weighs them.
    source, target = sample(0, 200), sample(0, 60, 0.5)
    seen = []
    fit = odds_module._choose

    def spy(rows, *rest):
        seen.append(set(rows.group.tolist()))
        return fit(rows, *rest)

    monkeypatch.setattr(odds_module, "_choose", spy)
    found = odds(source, target, COLUMNS, 0)
    assert len(seen) == odds_module.FOLDS
    for number, groups in enumerate(seen):
        assert not groups & set(source.group[found.fold == number].tolist())
    assert all(len(set(found.fold[source.group == g])) == 1 for g in np.unique(source.group))
    # And patients of the target alone teach every model.
    alone = replace(target, group=target.group + 5000)
    seen.clear()
    odds(source, alone, COLUMNS, 0)
    assert all(set(alone.group.tolist()) <= groups for groups in seen)


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_rows_does_not_matter(method):
    source, target = sample(0, 160), sample(1, 120, 0.7)
    random = np.random.default_rng(5)
    mine, theirs = random.permutation(len(source)), random.permutation(len(target))
    whole = weigh(method, source, target)
    np.testing.assert_allclose(weigh(method, reorder(source, mine), reorder(target, theirs)), whole[mine], rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_row_twice_is_a_row_of_weight_2(method):
    source, target = sample(0, 160), sample(1, 120, 0.7)
    mine, theirs = np.r_[np.arange(160), np.arange(40)], np.r_[np.arange(120), np.arange(50, 70)]
    heavy = replace(source, weight=np.where(np.arange(160) < 40, 2.0, 1.0))
    wanted = replace(target, weight=np.where((np.arange(120) >= 50) & (np.arange(120) < 70), 2.0, 1.0))
    one, two = weigh(method, heavy, wanted), weigh(method, reorder(source, mine), reorder(target, theirs))
    np.testing.assert_allclose(two, one[mine], rtol=1e-5)


def test_weights_do_not_depend_on_the_key(pair):
    # A shared cohort has other names in the same order; what is learnt is the same.
    other = replace(pair.source, key=bytes(32))
    np.testing.assert_array_equal(simulate(other, pair.target).weight, simulate(pair.source, pair.target).weight)


def test_one_binary_column_gives_the_odds_ratio():
    source, target = sample(0, 400), sample(1, 300)
    found = weigh("strata", source, target)
    a, b = (s.table["site"] == "A" for s in (source, target))
    ratio = found[a.to_numpy()][0] / found[~a.to_numpy()][0]
    assert ratio == pytest.approx((b.mean() / (1 - b.mean())) / (a.mean() / (1 - a.mean())))


@pytest.mark.parametrize("method", METHODS)
def test_a_category_that_the_target_lacks_has_weight_0_and_is_counted(pair, method):
    site = pair.target.manifest[METADATA + "site"].replace("C", "B")
    found = simulate(pair.source, changed(pair.target, site=site), WeightConfig(method, ("site",)))
    lost = (unit_table(pair.source, (Column("site", True),))["site"] == "C").to_numpy()
    assert (found.weight[lost] == 0).all()
    assert (found.weight[~lost] > 0).all()
    assert found.removed == {"site": int(lost.sum())}
    assert found.unmatched == 0


def test_target_units_without_counterpart_are_told():
    # Nothing in the source can stand for them, so they must not bend the weights of what is there.
    table = pd.DataFrame({"site": ["A", "A", "B"], "machine": ["1", "1", "2"]})
    target = pd.DataFrame({"site": ["A", "C", "B"], "machine": ["1", "1", "3"]})
    found = common_support(table, target, (Column("site", True), Column("machine", True)))
    # Site B of the target stands at machine 3 only, which the source lacks; without it site B has no target.
    assert found.source.tolist() == [True, True, False]
    assert found.target.tolist() == [True, False, False]


def test_entropy_balancing_is_certified_and_optimal():
    random = np.random.default_rng(0)
    x, base = random.normal(size=(300, 3)), random.uniform(0.5, 2, 300)
    x = np.hstack([x, x[:, :1]])  # a column twice
    goal = np.array([0.3, -0.2, 0.1, 0.3])
    weight, gap = entropy_weights(x, goal, base)
    share = base * weight / (base * weight).sum()
    assert np.abs(share @ x - goal).max() < 1e-8
    assert gap < 1e-8
    assert np.average(weight, weights=base) == pytest.approx(1)
    # Optimal weights are log-linear in the moments: nothing else is left in them.
    design = np.hstack([np.ones((300, 1)), x])
    log = np.log(weight)
    assert np.abs(design @ np.linalg.lstsq(design, log, rcond=None)[0] - log).max() < 1e-8


def test_penalised_weights_exist_for_every_goal_and_come_nearer_with_less_penalty():
    random = np.random.default_rng(0)
    x, base = random.normal(size=(200, 2)), random.uniform(0.5, 2, 200)
    # The second goal lies outside of all rows, where entropy balancing has no answer.
    for goal in (np.array([0.3, -0.2]), np.array([0.0, 4.0])):
        gaps = []
        assert x[:, 1].max() < 4
        for penalty in (10.0, 1.0, 0.1):
            weight = penalised_weights(x, goal, base, penalty)
            assert (weight > 0).all()
            assert np.average(weight, weights=base) == pytest.approx(1)
            gap = np.average(x, axis=0, weights=base * weight) - goal
            gaps.append(np.abs(gap).max())
            # At the optimum log weights are linear in the moments, and each moment is off by the penalty times theta.
            design = np.hstack([np.ones((200, 1)), x])
            theta = np.linalg.lstsq(design, np.log(weight), rcond=None)[0][1:]
            np.testing.assert_allclose(gap, -penalty * theta, atol=1e-8)
        assert gaps == sorted(gaps, reverse=True)
    exact, _ = entropy_weights(x, np.array([0.3, -0.2]), base)
    np.testing.assert_allclose(penalised_weights(x, np.array([0.3, -0.2]), base, 1e-9), exact, rtol=1e-6)


def test_odds_are_calibrated_to_the_target(pair, monkeypatch):
    found = simulate(pair.source, pair.target)
    monkeypatch.setattr(odds_module, "_correction", lambda both, ratio, columns, penalty: np.ones_like(ratio))
    plain = simulate(pair.source, pair.target)
    # Terms of first order are hardly held back, so that the cohorts agree in them, which odds alone do not reach.
    left, before = ([abs(b.smd[1]) for b in w.balance if b.name in ("age", "site", "implant")] for w in (found, plain))
    assert max(left) < 0.05
    assert max(before) > 0.2


def test_moments_out_of_reach_are_an_error():
    with pytest.raises(SolverError, match="no weights"):
        entropy_weights(np.linspace(-1, 1, 50)[:, None], np.array([1.5]), np.ones(50))


@pytest.mark.parametrize("method", METHODS)
def test_a_rate_is_matched(pair, method):
    found = simulate(pair.source, pair.target, WeightConfig(method, prevalence=0.4))
    assert found.prevalence[1] == pytest.approx(0.4, abs=1e-5)
    assert found.prevalence[0] < 0.35


def test_predictions_are_matched_in_every_stratum_and_strata_keep_their_share(pair):
    rate = {"A": 0.2, "B": 0.35, "C": 0.5}
    site = [Column("site", True)]
    goal = unit_table(pair.target, site)["site"].map(rate)
    units = pair.target.units
    # Half of them by readable, half by hashed name.
    names = np.where(np.arange(len(units)) % 2 == 0, units["unit"], units["unit_id"])
    config = WeightConfig("strata", ("site",), dict(zip(names, goal, strict=True)))
    found, plain = (simulate(pair.source, pair.target, c) for c in (config, replace(config, prevalence=None)))
    label = pair.source.targets.set_index("unit").loc[pair.source.units["unit"], "label"].to_numpy()
    where = unit_table(pair.source, site)["site"].to_numpy()
    for name, want in rate.items():
        rows = where == name
        assert np.average(label[rows], weights=found.weight[rows]) == pytest.approx(want)
        assert found.weight[rows].sum() == pytest.approx(plain.weight[rows].sum())


def test_flattening_takes_the_largest_power_that_reaches_the_share():
    weight = np.exp(3 * np.random.default_rng(0).normal(size=500))
    power = flattening(weight, np.ones(500), 0.2)
    assert 0 < power < 1
    assert ess_share(weight**power, np.ones(500)) == pytest.approx(0.2, abs=1e-6)
    assert flattening(np.ones(5), np.ones(5), 0.2) == 1
    # Nine of ten units are left out, so no power helps.
    assert flattening(np.r_[1.0, np.zeros(9)], np.ones(10), 0.2) == 0


def test_too_strong_weights_are_flattened_aloud_or_refused(pair):
    age = pair.target.manifest[METADATA + "age"] + 18
    far = changed(pair.target, age=age)
    found = simulate(pair.source, far)
    assert found.power < 1
    assert found.raw_share < 0.2
    assert found.share == pytest.approx(0.2, abs=1e-6)
    with pytest.raises(UserError, match=r"effective sample share is below 0\.2"):
        simulate(pair.source, far, WeightConfig(flatten=False))


def test_distances_agree_with_those_of_weighted_rows():
    source, target = sample(0, 200), sample(1, 150, 1.0)
    twice = np.r_[np.arange(200), np.arange(50)]
    weight = np.where(np.arange(200) < 50, 2.0, 1.0)
    weighted = column_balance(source, target, weight, COLUMNS)
    repeated = column_balance(reorder(source, twice), target, np.ones(250), COLUMNS)
    for a, b in zip(weighted, repeated, strict=True):
        assert a.ks[1] == pytest.approx(b.ks[0])
    from scipy.stats import ks_2samp

    assert weighted[0].ks[0] == pytest.approx(ks_2samp(source.table["age"], target.table["age"]).statistic)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"on": ("weight",)}, r"--on: there are no such columns \(got weight\)"),
        ({"on": ("slice_thickness",)}, "index --headers"),
        ({"on": ("age", "age:category")}, "names a column twice"),
        ({"method": "strata", "on": ("age",)}, "strata need categories"),
        ({"method": "magic"}, "no such method"),
        ({"prevalence": 1.2}, "no rate between 0 and 1"),
        ({"prevalence": {"nobody": 0.5}}, "have no prediction"),
        ({"finding": "cancer"}, "no prevalence"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(pair, config, message):
    with pytest.raises(UserError, match=message):
        simulate(pair.source, pair.target, WeightConfig(**config))


def test_labels_of_the_target_are_refused_as_predictions(pair):
    labels = pair.target.targets.set_index("unit")["label"].astype(float).to_dict()
    with pytest.raises(UserError, match="as labels do"):
        simulate(pair.source, pair.target, WeightConfig("strata", ("site",), labels))


def test_labels_of_the_target_decide_nothing(pair):
    other = replace(pair.target, targets=pair.target.targets.assign(label=-1))
    found, blind = (simulate(pair.source, t, WeightConfig("balance", prevalence=0.3)) for t in (pair.target, other))
    np.testing.assert_array_equal(found.weight, blind.weight)


def test_cohorts_that_do_not_fit_are_refused(pair):
    with pytest.raises(TaskError, match="no such target"):
        simulate(pair.source, pair.target, WeightConfig(prevalence=0.3, finding="fracture"))
    with pytest.raises(UserError, match="no common categories"):
        simulate(pair.source, changed(pair.target, site="Z"))
    with pytest.raises(UserError, match="lacks columns"):
        bare = pair.target.manifest.drop(columns=METADATA + "age")
        simulate(pair.source, replace(pair.target, manifest=bare))
    with pytest.raises(UserError, match="one kind"):
        healthy = replace(pair.source, targets=pair.source.targets.assign(label=0))
        simulate(healthy, pair.target, WeightConfig(prevalence=0.3))
    with pytest.raises(UserError, match="odds need 10 patients"):
        few = sample(1, 12)
        odds(sample(0, 100), few, COLUMNS, 0)
    task = pair.source.task
    forbids = replace(task, metadata=replace(task.metadata, forbidden=("biopsy",)))
    with pytest.raises(UserError, match="forbids"):
        simulate(replace(pair.source, task=forbids), pair.target, WeightConfig(on=("biopsy",)))


def test_header_features_can_be_compared_on(pair):
    # A broken intercept is a category that the target lacks.
    tables = []
    for cohort, values in ((pair.source, (0.0, -1024.0, 7.0)), (pair.target, (0.0, -1024.0))):
        crops = cohort.manifest["crop_id"]
        value = np.resize(values, len(crops))
        tables.append(replace(cohort, headers=pd.DataFrame({"crop_id": crops, "intercept": value})))
    found = simulate(*tables, WeightConfig("strata", ("intercept:category",)))
    assert found.removed == {"intercept": 100}
    np.testing.assert_allclose(found.weight[found.weight > 0], 1)


def test_what_is_told_of_units_that_share_crops_can_be_compared_on(pair):
    # As in studies of several series: the manifest does not know what its units are about.
    tables = []
    columns = choose_columns(pair.source, ())
    for cohort in (pair.source, pair.target):
        told = unit_table(cohort, columns).add_prefix(METADATA).assign(unit=cohort.units["unit"])
        bare = cohort.manifest.drop(columns=[METADATA + c.name for c in columns])
        tables.append(replace(cohort, manifest=bare, unit_features=told))
    found, crops = simulate(*tables), simulate(pair.source, pair.target)
    np.testing.assert_array_equal(found.weight, crops.weight)


def test_how_many_crops_a_unit_sees_can_be_compared_on(pair):
    # Of the cohort every second unit sees its image twice, of the target every fourth sees none.
    slot = pair.source.task.slots.values[0]
    twice = pair.source.links.drop_duplicates("unit")[::2].assign(order=9.0)
    source = replace(pair.source, links=pd.concat([pair.source.links, twice], ignore_index=True))
    names = pair.target.units["unit"]
    target = replace(pair.target, links=pair.target.links[~pair.target.links["unit"].isin(names[::4])])
    column = Column(f"count.{slot}", categorical=False, slot=slot)
    counts = [unit_table(cohort, (column,))[column.name] for cohort in (source, target)]
    assert [sorted(set(count)) for count in counts] == [[1, 2], [0, 1]]
    found = simulate(source, target, WeightConfig("strata", (f"{column.name}:category",)))
    assert found.removed == {column.name: len(twice)}
    with pytest.raises(UserError, match=r"no such columns.*Known: .*count\."):
        simulate(source, target, WeightConfig(on=("count.other",)))
