from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from archloom.bench.hypervolume import hypervolume
from archloom.space import Architecture, load_preset
from archloom.strategy import Comparison, Constraint, Goal, Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.session import Session
from archloom_strategies.bayesian.acquisition import Kind, Promise, promise
from archloom_strategies.bayesian.beliefs import Believed, GaussianSurrogate
from archloom_strategies.bayesian.model import MetricModel, Model, build
from archloom_strategies.bayesian.process import Rows
from archloom_strategies.bayesian.strategy import BayesianOptimization
from archloom_strategies.bayesian.warping import Warp, fence
from archloom_strategies.features import Encoder, measure
from archloom_strategies.selection import dominators
from archloom_strategies.trials import Trial

CELLS = load_preset("nasbench201")
ENCODER = Encoder(CELLS)
YARDSTICK = measure(ENCODER)
DRAWN = [ENCODER(architecture) for number in range(0, 15_625, 197) if (architecture := CELLS.at(number))]
ROWS = Rows.of(DRAWN, YARDSTICK)


class Independent(Believed):
    """Candidates of which none tells of another."""

    def prior_covariance(self, place: int) -> np.ndarray:
        return np.asarray(np.eye(len(self.mean))[place] * self.variance[place])


class Stated:
    """A surrogate that says what it is told to say."""

    best = 0.0

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        self._mean, self._deviation = np.array(mean), np.array(deviation)

    def beliefs(self, rows: Rows) -> Independent:
        return Independent(self._mean.copy(), self._deviation**2, 0.0)


def promised(
    reached: np.ndarray,
    means: np.ndarray,
    deviations: np.ndarray,
    warp: Warp | None = None,
    kind: Kind = "expected-improvement",
    trials: int = 0,
) -> Promise:
    """Of candidates [m, objectives] in the warp's units."""
    warp = warp or Warp(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    objectives = tuple(
        MetricModel(warp, Stated(mean, deviation))
        for mean, deviation in zip(means.T, deviations.T, strict=True)
    )
    candidates = DRAWN[: len(means)]
    return promise(
        kind,
        Model(objectives, (), reached),
        candidates,
        ROWS.take(np.arange(len(means))),
        np.random.default_rng(1),
        trials,
    )


def spread(random: np.random.Generator, points: int, objectives: int) -> np.ndarray:
    """From 0 to 1 in even steps, each objective in an order of its own: no outliers."""
    return np.stack([random.permutation(points) for _ in range(objectives)], 1) / (points - 1)


def reference_of(reached: np.ndarray) -> np.ndarray:
    return np.asarray(reached.min(0) - 0.1 * np.ptp(reached, axis=0))


def gain(reached: np.ndarray, point: np.ndarray) -> float:
    """What one more point adds, in shares of the box from the reference point to the best of each."""
    reference = reference_of(reached)
    extent = reached.max(0) - reference

    def volume(points: np.ndarray) -> float:
        return hypervolume([tuple(each) for each in (reference - points) / extent], (0.0,) * len(extent))

    return volume(np.vstack([reached, point])) - volume(reached)


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_expected_gain_is_the_mean_of_the_gains(objectives: int) -> None:
    """Against draws, of candidates near the front, before it and far behind it."""
    random = np.random.default_rng(4)
    reached = spread(random, 7, objectives)
    means = np.vstack([random.random((4, objectives)), np.full(objectives, 1.2), np.full(objectives, -1.0)])
    deviations = 0.05 + 0.3 * random.random(means.shape)
    noise = random.standard_normal((3000, objectives))
    by_draws = [
        np.mean([gain(reached, mean + deviation * each) for each in noise])
        for mean, deviation in zip(means, deviations, strict=True)
    ]
    found = promised(reached, means, deviations).scores()
    assert found == pytest.approx(np.array(by_draws), rel=0.1, abs=0.002)


def test_it_is_expected_in_the_metrics_own_units() -> None:
    """Under a warp whose upper half is four times as steep: it bends where no point of the front is."""
    random = np.random.default_rng(4)
    warp = Warp(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.array([0.0, 0.25, 0.5, 1.5, 2.5]))
    reached = np.array([[0.0, 1.0], [0.0, 0.5], [0.5, 0.0], [1.0, 0.0]])
    mean, deviation = np.array([[1.2, 1.0]]), np.array([[0.4, 0.5]])
    draws = warp.value(mean + deviation * random.standard_normal((4000, 2)))
    by_draws = np.mean([gain(reached, each) for each in draws])
    assert promised(reached, mean, deviation, warp).scores()[0] == pytest.approx(by_draws, rel=0.06)


def test_at_every_fourth_trial_the_surrogates_are_doubted() -> None:
    """One candidate is surely a little better than the front, one is thought to be far behind it."""
    reached = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    means, deviations = np.array([[0.55, 0.55], [0.2, 0.2]]), np.array([[0.001, 0.001], [0.3, 0.3]])
    chosen = [
        int(np.argmax(promised(reached, means, deviations, trials=trials).scores())) for trials in range(8)
    ]
    assert chosen == [0, 0, 0, 1, 0, 0, 0, 1]
    batch = promised(reached, means, deviations, trials=2)
    batch.expect(0)
    assert np.argmax(batch.scores()) == 1


def test_of_known_objectives_the_gain_is_exact() -> None:
    random = np.random.default_rng(4)
    reached = spread(random, 9, 2)
    means = random.random((20, 2)) * 1.3
    found = promised(reached, means, np.full(means.shape, 1e-6)).scores()
    assert found == pytest.approx(np.array([gain(reached, each) for each in means]), abs=1e-5)


def test_what_is_expected_adds_nothing_more() -> None:
    reached = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    means = np.array([[0.9, 0.9], [0.9, 0.9], [0.2, 1.4]])
    found = promised(reached, means, np.full(means.shape, 1e-6))
    before = found.scores()
    found.expect(0)
    after = found.scores()
    assert before[0] == before[1] > 0.1
    assert after[1] < 1e-5
    assert after[2] > 0.5 * before[2]


def test_many_points_and_objectives_are_no_trouble() -> None:
    """200 points of five objectives, all on the front: the grid is thinned."""
    random = np.random.default_rng(4)
    reached = np.abs(random.standard_normal((200, 5)))
    reached /= np.linalg.norm(reached, axis=1, keepdims=True)
    means = np.vstack([1.5 * reached[:3], 0.3 * reached[:3]])
    found = promised(reached, means, np.full(means.shape, 0.05)).scores()
    assert found[:3].min() > 10 * found[3:].max()


@pytest.mark.parametrize("kind", ["upper-confidence-bound", "thompson"])
def test_the_other_acquisitions_look_at_volumes_too(kind: Kind) -> None:
    reached = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    means = np.array([[0.2, 0.2], [0.9, 0.9]])
    found = promised(reached, means, np.full(means.shape, 0.01), kind=kind).scores()
    assert found[1] > 0.1 > 0.001 > found[0]


def test_networks_that_do_not_work_at_all_are_worth_nothing() -> None:
    """One of no use but without a cost, among good ones: a cheaper one of no use is no gain."""
    reached = np.array([[0.9, -5.0], [0.91, -6.0], [0.92, -7.0], [0.93, -8.0], [0.94, -9.0], [0.1, -2.0]])
    means = np.array([[0.1, -1.0], [0.905, -4.0]])
    found = promised(reached, means, np.full(means.shape, 1e-4)).scores()
    assert found[0] < 1e-9
    assert found[1] > 0.01


def test_the_fence_keeps_outliers_out_and_nothing_else() -> None:
    values = np.array([90.0, 91.0, 92.0, 93.0, 94.0])
    assert fence(values) == 90
    assert 80 < fence(np.append(values, 10.0)) < 90
    assert fence(np.array([1.0, 5.0, 5.0, 5.0, 5.0, 5.0])) == 1
    warp = Warp.smooth(np.append(values, [10.0, 11.0]))
    assert (np.diff(warp.scores) > 0).all()
    assert warp.values[0] == fence(np.append(values, [10.0, 11.0]))


def test_how_many_dominate_a_point() -> None:
    points = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    assert dominators(points).tolist() == [2, 0, 0, 0, 4]


def test_of_many_points_the_dominators_are_counted_in_little_memory() -> None:
    points = np.random.default_rng(3).integers(0, 40, (3000, 2)).astype(float)
    tracemalloc.start()
    found = dominators(points)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(points) ** 2
    for place in range(0, 3000, 101):
        no_worse, better = (points >= points[place]).all(1), (points > points[place]).any(1)
        assert found[place] == (no_worse & better).sum()


def model_of(spec: SearchSpec, metrics: Sequence[dict[str, float]]) -> Model:
    trials = [
        Trial(
            place,
            DRAWN[place].architecture,
            each,
            ended=True,
            refused=any(limit.violation(each[limit.metric]) > 0 for limit in spec.constraints),
        )
        for place, each in enumerate(metrics)
    ]
    model = build(spec, trials, DRAWN[: len(metrics)], [], YARDSTICK, GaussianSurrogate.fitted)
    assert model is not None
    return model


def test_before_any_trial_reports_all_objectives_candidates_are_alike() -> None:
    spec = SearchSpec(CELLS, (Objective("accuracy"), Objective("latency", Goal.MINIMIZE)))
    model = model_of(spec, [{"accuracy": 0.5}, {"latency": 3.0}, {"accuracy": 0.6}])
    rest = np.arange(3, 9)
    told = promise("expected-improvement", model, DRAWN[3:9], ROWS.take(rest), np.random.default_rng(1))
    assert told.scores().tolist() == [1.0] * 6


def test_a_limit_holds_beside_several_objectives() -> None:
    sizes = np.array([float(each.parameters) for each in DRAWN])
    most = float(np.median(sizes))
    spec = SearchSpec(
        CELLS,
        (Objective("accuracy"), Objective("latency", Goal.MINIMIZE)),
        (Constraint("size", Comparison.AT_MOST, most),),
    )
    metrics = [
        {"accuracy": sizes[place], "latency": DRAWN[place].layers ** 0.5, "size": sizes[place]}
        for place in range(40)
    ]
    model = model_of(spec, metrics)
    assert (model.reached[:, 0] <= most).all()
    rest = np.arange(40, len(DRAWN))
    scores = promise(
        "expected-improvement", model, DRAWN[40:], ROWS.take(rest), np.random.default_rng(1)
    ).scores()
    assert scores[sizes[rest] > most].max() < 1e-6 < scores[sizes[rest] <= most].max()


def latency_of(architecture: Architecture) -> float:
    """Additive over what is written: dead operations too."""
    price = {"none": 0.0, "skip_connect": 0.1, "nor_conv_1x1": 1.0, "nor_conv_3x3": 3.0, "avg_pool_3x3": 0.7}
    return sum(price[str(value)] for value in architecture.decisions.values())


def asked(count: int, steps: int) -> list[Architecture]:
    """The proposals of a search for multiply-adds at little latency."""
    spec = SearchSpec(
        CELLS, (Objective("work"), Objective("latency", Goal.MINIMIZE)), trials=60, parallelism=count
    )
    session, found = Session(StrategyRuntime(BayesianOptimization()), spec, seed=3), []
    for _ in range(steps):
        answer = session.ask(count)
        taken = [session.accept(n, each) for n, each in enumerate(answer.proposals.proposals)]
        for trial in taken:
            found.append(Architecture.from_proto(trial.proposal.architecture))
            work = float(ENCODER(found[-1]).flops) ** 0.5
            session.finish(trial, {"work": work, "latency": latency_of(found[-1])})
    return found


def test_a_batch_is_spread_along_the_front() -> None:
    batch = asked(6, 4)[-6:]
    assert len({ENCODER(each).network for each in batch}) == 6
    assert len({round(latency_of(each), 6) for each in batch}) >= 4


def test_networks_are_proposed_as_they_are_written_plainest() -> None:
    """What nothing reads is left out, where it would cost latency: nothing in a proposal can be
    dropped without changing the network.
    """
    for architecture in asked(1, 16):
        network = ENCODER(architecture).network
        for path, value in architecture.decisions.items():
            if str(value).startswith("nor_conv") or value == "avg_pool_3x3":
                dropped = Architecture({**architecture.decisions, path: "none"})
                assert ENCODER(dropped).network != network
