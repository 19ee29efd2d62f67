from __future__ import annotations

import numpy as np
import pytest
from archloom.bench.hypervolume import hypervolume
from archloom.space import load_preset
from archloom.strategy import Comparison, Constraint, Goal, Objective, SearchSpec
from archloom_strategies.bayesian.acquisition import draw, expected_improvement, promise
from archloom_strategies.bayesian.beliefs import Believed, GaussianSurrogate
from archloom_strategies.bayesian.model import Model, build
from archloom_strategies.bayesian.process import Process, Rows, fit, representative
from archloom_strategies.bayesian.warping import Warp
from archloom_strategies.features import Encoder, measure
from archloom_strategies.trials import Trial
from scipy.stats import multivariate_normal

CELLS = load_preset("nasbench201")
ENCODER = Encoder(CELLS)
YARDSTICK = measure(ENCODER)
DRAWN = [ENCODER(architecture) for number in range(0, 15_625, 197) if (architecture := CELLS.at(number))]
ROWS = Rows.of(DRAWN, YARDSTICK)


def size_of(place: int) -> float:
    return float(DRAWN[place].parameters)


def flops_of(place: int) -> float:
    return float(DRAWN[place].flops)


# The Gaussian process.


def test_it_predicts_what_it_has_not_seen() -> None:
    sizes = np.log1p([size_of(place) for place in range(len(DRAWN))])
    targets = (sizes - sizes.mean()) / sizes.std()
    known, unknown = np.arange(0, 80, 2), np.arange(1, 80, 2)
    process = Process.of(fit(ROWS.take(known), targets[known]), ROWS.take(known), targets[known])
    mean, taken = process.posterior(ROWS.take(unknown))
    assert np.corrcoef(mean, targets[unknown])[0, 1] > 0.95
    assert ((taken * taken).sum(0) <= 1 + 1e-9).all()


def test_the_evidence_chooses_the_block_that_tells() -> None:
    """An objective made of decisions: the network's sizes get a smaller rate than the decisions do."""
    weights = np.random.default_rng(3).standard_normal(ROWS.blocks[0].shape[1])
    targets = ROWS.blocks[0] @ weights
    kernel = fit(ROWS, (targets - targets.mean()) / targets.std())
    assert kernel.rates[0] > kernel.rates[3]
    assert kernel.noise < 0.05


def test_its_density_is_that_of_the_normal_distribution() -> None:
    """The fit's value, without prior and with the amplitude put in, against scipy's."""
    from archloom_strategies.bayesian.process import _Evidence, _kernel

    some = np.arange(12)
    targets = np.random.default_rng(5).standard_normal(12)
    distances = ROWS.take(some).distances(ROWS.take(some))
    start = np.append(-1.4 + 0.3 * np.arange(len(distances)), -3.0)
    value, gradient = _Evidence(distances, targets, start)(start)
    kernel = _kernel(start, len(distances))
    covariance = kernel(distances) + kernel.noise * np.eye(12)
    amplitude = targets @ np.linalg.solve(covariance, targets) / 12
    expected = -multivariate_normal(np.zeros(12), amplitude * covariance).logpdf(targets)
    assert value == pytest.approx(expected - 6 * np.log(2 * np.pi) - 6)
    for place in range(len(start)):
        step = 1e-5 * np.eye(len(start))[place]
        slope = (_Evidence(distances, targets, start)(start + step)[0] - value) / 1e-5
        assert gradient[place] == pytest.approx(slope, abs=1e-3)


def test_to_expect_a_candidate_is_to_be_told_its_mean() -> None:
    targets = np.random.default_rng(7).standard_normal(20)
    seen, rest = ROWS.take(np.arange(20)), ROWS.take(np.arange(20, 40))
    process = Process.of(fit(seen, targets), seen, targets)
    beliefs = GaussianSurrogate(process).beliefs(rest)
    told = GaussianSurrogate(
        Process.of(
            process.kernel,
            seen.joined(rest.take(np.array([4, 9]))),
            np.concatenate([targets, beliefs.mean[[4, 9]]]),
            process.amplitude,
        )
    ).beliefs(rest)
    beliefs.expect(4)
    beliefs.expect(9)
    assert beliefs.mean == pytest.approx(told.mean, abs=1e-6)
    assert beliefs.variance == pytest.approx(told.variance, abs=1e-6)


def test_equal_targets_are_no_trouble() -> None:
    process = Process.of(fit(ROWS, np.zeros(len(ROWS))), ROWS, np.zeros(len(ROWS)))
    assert process.amplitude == 1.0
    assert not process.means.any()


def test_the_representative_ones_hold_the_best_half_and_a_sample_of_the_rest() -> None:
    targets = np.random.default_rng(2).permutation(1000).astype(float)
    places = representative(targets, 100)
    assert len(set(places.tolist())) == 100
    assert set(np.flatnonzero(targets >= 950)) <= set(places.tolist())
    assert targets[places].min() == 0
    assert list(representative(targets, 5000)) == list(range(1000))


# The warp.


def test_the_warp_keeps_the_order_and_comes_back() -> None:
    values = np.array([10.0, 93.1, 94.2, 94.2, 90.0, 94.3])
    warp = Warp.of(values)
    at = np.array([5.0, 10.0, 50.0, 93.0, 94.25, 99.0])
    assert (np.diff(warp.score(at)) > 0).all()
    assert warp.value(warp.score(at)) == pytest.approx(at)
    assert warp.score(np.array([10.0]))[0] == pytest.approx(-warp.score(np.array([94.3]))[0])


# Acquisitions.


def test_numbers_near_the_largest_are_warped_by_ranks() -> None:
    values = np.array([1.0, 1e308, 2.0, 1.7e308, -1e3])
    scores = Warp.smooth(values).score(values)
    assert np.argsort(scores).tolist() == np.argsort(values).tolist()


def test_expected_improvement_is_the_mean_of_improvements() -> None:
    draws = np.random.default_rng(1).standard_normal(200_000)
    for mean, deviation, best in ((0.3, 0.5, 0.2), (-1.0, 1.0, 0.5), (2.0, 0.1, 0.0)):
        by_draws = np.maximum(mean + deviation * draws - best, 0).mean()
        found = expected_improvement(np.array([mean]), np.array([deviation]), best)[0]
        assert found == pytest.approx(by_draws, abs=0.005)


def test_draws_together_have_the_covariance() -> None:
    covariance = np.array([[1.0, 0.9], [0.9, 2.0]])

    class Two(Believed):
        def prior_covariance(self, place: int) -> np.ndarray:
            found: np.ndarray = covariance[place]
            return found

    beliefs, random = Two(np.zeros(2), np.diag(covariance), 0.0), np.random.default_rng(1)
    draws = np.stack([draw(beliefs, random) for _ in range(4000)])
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.15)


# The model.


def model_of(
    metrics: list[dict[str, float]],
    refused: frozenset[int] = frozenset(),
    objectives: tuple[Objective, ...] = (Objective("accuracy"),),
    constraints: tuple[Constraint, ...] = (),
) -> Model:
    spec = SearchSpec(CELLS, objectives, constraints)
    trials = [
        Trial(place, DRAWN[place].architecture, each, ended=True, refused=place in refused)
        for place, each in enumerate(metrics)
    ]
    model = build(spec, trials, DRAWN[: len(metrics)], [], YARDSTICK, GaussianSurrogate.fitted)
    assert model is not None
    return model


def test_a_metric_that_follows_the_parameters_is_known() -> None:
    metrics = [{"accuracy": place % 7 / 7, "cost": 3 - 2e-6 * size_of(place)} for place in range(30)]
    model = model_of(metrics, objectives=(Objective("accuracy"), Objective("cost", Goal.MINIMIZE)))
    accuracy, cost = (metric.beliefs(DRAWN[30:], ROWS.take(np.arange(30, 80))) for metric in model.objectives)
    assert accuracy.variance.max() > 1e-3
    assert cost.variance.max() <= 1e-12
    truth = np.array([2e-6 * size_of(place) - 3 for place in range(30, 80)])
    assert model.objectives[1].warp.value(cost.mean) == pytest.approx(truth)


def test_what_a_candidate_adds_to_the_hypervolume_orders_the_candidates() -> None:
    """Two objectives that are both known, more parameters and fewer multiply-adds: the promise against the
    exact gain. On nasbench201 the two are proportional, so every new size lies on the front.
    """
    objectives = (Objective("large"), Objective("slow", Goal.MINIMIZE))
    by_size = sorted(range(len(DRAWN)), key=size_of)
    known, rest = by_size[::16], [place for place in by_size if place not in by_size[::16]]
    trials = [
        Trial(
            place, DRAWN[place].architecture, {"large": size_of(place), "slow": flops_of(place)}, ended=True
        )
        for place in known
    ]
    spec = SearchSpec(CELLS, objectives)
    seen = [DRAWN[place] for place in known]
    model = build(spec, trials, seen, [], YARDSTICK, GaussianSurrogate.fitted)
    assert model is not None
    candidates = [DRAWN[place] for place in rest]
    found = promise(
        "expected-improvement", model, candidates, ROWS.take(np.array(rest)), np.random.default_rng(1)
    )
    least, most = model.reached.min(0), model.reached.max(0)
    reference = least - 0.1 * (most - least)

    def volume(points: list[np.ndarray]) -> float:
        return hypervolume([tuple((reference - each) / (most - least)) for each in points], (0.0, 0.0))

    front = list(model.reached)
    gains = np.array(
        [volume([*front, np.array([size_of(place), -flops_of(place)])]) - volume(front) for place in rest]
    )
    assert gains.max() > 0
    assert np.corrcoef(found.scores(), gains)[0, 1] > 0.95
    assert gains[np.argmax(found.scores())] > 0.8 * gains.max()
    promised = found.scores().max()
    found.expect(int(np.argmax(found.scores())))
    assert found.scores().max() < promised


def test_a_constraint_steers_away_from_what_breaks_it() -> None:
    most = float(np.median([size_of(place) for place in range(80)]))
    limit = Constraint("size", Comparison.AT_MOST, most)
    metrics = [{"accuracy": size_of(place), "size": size_of(place)} for place in range(30)]
    refused = frozenset(place for place in range(30) if size_of(place) > most)
    model = model_of(metrics, refused, constraints=(limit,))
    assert len(model.limits) == 1
    scores = promise(
        "expected-improvement", model, DRAWN[30:], ROWS.take(np.arange(30, 80)), np.random.default_rng(1)
    ).scores()
    sizes = np.array([size_of(place) for place in range(30, 80)])
    assert scores[sizes > most].max() < 1e-9
    assert model.reached.max() <= most


def test_failures_without_a_reason_are_learnt() -> None:
    middle = float(np.median([size_of(place) for place in range(40)]))
    large = frozenset(place for place in range(40) if size_of(place) > middle)
    model = model_of([{} if place in large else {"accuracy": 0.5} for place in range(40)], large)
    rest = ROWS.take(np.arange(40, 80))
    chance = model.limits[0].probability(model.limits[0].model.beliefs(DRAWN[40:], rest))
    fails = np.array([size_of(place) > middle for place in range(40, 80)])
    assert chance[~fails].mean() > chance[fails].mean() + 0.3


def test_until_a_trial_is_feasible_the_chance_of_it_is_all_that_counts() -> None:
    limit = Constraint("size", Comparison.AT_MOST, size_of(0) - 1)
    metrics = [{"accuracy": 0.5, "size": size_of(place)} for place in range(40)]
    model = model_of(metrics, frozenset(range(40)), constraints=(limit,))
    assert not len(model.reached)
    random = np.random.default_rng(1)
    scores = promise("expected-improvement", model, DRAWN[40:], ROWS.take(np.arange(40, 80)), random).scores()
    assert ((scores >= 0) & (scores <= 1)).all()
