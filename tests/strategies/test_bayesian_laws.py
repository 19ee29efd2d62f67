"""Metrics that need not be learnt."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest
from archloom.space import load_preset
from archloom.strategy import Comparison, Constraint, Goal, Objective, SearchSpec
from archloom_strategies.bayesian.acquisition import promise
from archloom_strategies.bayesian.beliefs import Believed, GaussianSurrogate, PartlyExact
from archloom_strategies.bayesian.laws import PROOF, Law
from archloom_strategies.bayesian.model import build
from archloom_strategies.bayesian.process import Rows
from archloom_strategies.features import Encoded, Encoder, measure
from archloom_strategies.trials import Trial

CELLS = load_preset("nasbench201")
ENCODER = Encoder(CELLS)
YARDSTICK = measure(ENCODER)
DRAWN = [ENCODER(architecture) for number in range(0, 15_625, 197) if (architecture := CELLS.at(number))]


def kinds_of(encoded: Encoded) -> Counter[str]:
    operations = [node.operation for node in CELLS.graph(encoded.architecture).nodes]
    return Counter(f"{each.name}{dict(each.parameters).get('k', '')}" for each in operations)


def latency_of(encoded: Encoded) -> float:
    """A sum over layers, as from a lookup table, rounded as tables are; no function of parameters and FLOPs,
    of which pooling has none.
    """
    kinds = kinds_of(encoded)
    return round(kinds["conv3"] * 0.51 + kinds["conv1"] * 0.23 + kinds["avg_pool3"] * 0.3137 + 1.7, 6)


POOLED = [each for each in DRAWN if kinds_of(each)["avg_pool3"]]
UNPOOLED = [each for each in DRAWN if not kinds_of(each)["avg_pool3"]]


def latencies(encoded: list[Encoded]) -> np.ndarray:
    return np.array([latency_of(each) for each in encoded])


def test_a_latency_that_adds_up_over_layers_is_known() -> None:
    law = Law.of(DRAWN[:30], latencies(DRAWN[:30]))
    assert law is not None
    assert law.values(DRAWN[30:]) == pytest.approx(latencies(DRAWN[30:]), abs=1e-4)


def test_of_layers_that_were_never_seen_it_says_nothing() -> None:
    law = Law.of(UNPOOLED, latencies(UNPOOLED))
    assert law is not None
    assert not law.complete
    assert np.isnan(law.values(POOLED)).all()
    assert law.values(UNPOOLED) == pytest.approx(latencies(UNPOOLED), abs=1e-4)


@pytest.mark.parametrize(("preset", "kind"), [("mlp", "silu"), ("speech", "conv31")])
def test_no_kind_of_layer_is_taken_for_another(preset: str, kind: str) -> None:
    """These had one column with another kind while kinds were hashed to 32."""
    space = load_preset(preset)
    encoder, rng = Encoder(space), Random(5)
    found = [encoder(space.sample(rng)) for _ in range(200)]

    def has(encoded: Encoded) -> bool:
        operations = [node.operation for node in space.graph(encoded.architecture).nodes]
        return any(f"{each.name}{dict(each.parameters).get('k', '')}" == kind for each in operations)

    those, others = [each for each in found if has(each)], [each for each in found if not has(each)]
    assert len(those) > 20
    law = Law.of(others, np.array([float(each.layers) + 1e-9 * each.flops for each in others]))
    assert law is not None
    assert np.isnan(law.values(those)).all()


def test_what_is_measured_with_noise_keeps_no_law() -> None:
    noise = 1e-3 * np.random.default_rng(1).standard_normal(30)
    assert Law.of(DRAWN[:30], latencies(DRAWN[:30]) + noise) is None


def test_no_law_is_believed_that_any_values_would_keep() -> None:
    random = np.random.default_rng(1)
    for count in range(1, 30):
        assert Law.of(DRAWN[:count], random.standard_normal(count)) is None
        assert Law.of(DRAWN[:1] * count, random.standard_normal(count)) is None


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_what_was_always_the_same_but_once_is_no_law(value: float) -> None:
    assert Law.of(DRAWN, np.full(len(DRAWN), value)) is None
    assert Law.of([*UNPOOLED, POOLED[0]], np.append(np.full(len(UNPOOLED), value), 0.5)) is None


def test_it_needs_a_few_networks_beyond_what_determines_it() -> None:
    fewest = next(count for count in range(1, 40) if Law.of(DRAWN[:count], latencies(DRAWN[:count])))
    law = Law.of(DRAWN[:fewest], latencies(DRAWN[:fewest]))
    assert law is not None
    assert fewest >= len(law.seen) + PROOF
    assert fewest < 20


def test_parameters_and_flops_are_laws_of_every_network() -> None:
    for size in ("parameters", "flops"):
        values = np.array([3.0 - 2e-6 * getattr(each, size) for each in DRAWN])
        law = Law.of(DRAWN[:6], values[:6])
        assert law is not None
        assert law.complete
        assert law.values(DRAWN) == pytest.approx(values)


def test_candidates_beyond_the_law_are_learnt() -> None:
    """In a model that saw no pooling but in vain: the law where it holds, the surrogate elsewhere."""
    spec = SearchSpec(CELLS, (Objective("accuracy"), Objective("latency", Goal.MINIMIZE)))
    metrics = [
        {"accuracy": place % 7 / 7, "latency": latency_of(each)} for place, each in enumerate(UNPOOLED)
    ]
    trials = [
        Trial(place, encoded.architecture, each, ended=True)
        for place, (encoded, each) in enumerate(zip(UNPOOLED, metrics, strict=True))
    ]
    model = build(spec, trials, UNPOOLED, [], YARDSTICK, GaussianSurrogate.fitted)
    assert model is not None
    latency = model.objectives[1]
    assert latency.law is not None
    candidates = [UNPOOLED[3], *POOLED[:20]]
    beliefs = latency.beliefs(candidates, Rows.of(candidates, YARDSTICK))
    known = ~np.isnan(latency.law.values(candidates))
    assert known[0]
    assert not known.all()
    assert latency.warp.value(beliefs.mean)[0] == pytest.approx(-latency_of(UNPOOLED[3]), abs=1e-4)
    assert (beliefs.variance[~known] > 1e-6).all()


class Alike(Believed):
    def prior_covariance(self, place: int) -> np.ndarray:
        return np.full(len(self.mean), 0.5) + 0.5 * np.eye(len(self.mean))[place]


def test_what_is_known_tells_nothing_of_the_others_when_it_is_expected() -> None:
    beliefs = PartlyExact(np.array([7.0, np.nan, np.nan]), Alike(np.zeros(3), np.ones(3), 0.0))
    assert beliefs.mean.tolist() == [7.0, 0.0, 0.0]
    assert beliefs.covariance(0).tolist() == [0.0, 0.0, 0.0]
    assert beliefs.covariance(1).tolist() == [0.0, 1.0, 0.5]
    before = beliefs.variance
    beliefs.expect(0)
    assert beliefs.variance.tolist() == before.tolist()
    beliefs.expect(1)
    assert beliefs.variance[2] == pytest.approx(0.75)
    assert beliefs.variance[0] < 1e-9


@pytest.mark.parametrize("far", [1e9, 1.7e308])
def test_one_unusual_network_excuses_no_error(far: float) -> None:
    random = np.random.default_rng(1)
    values = np.append(random.uniform(1, 5, len(UNPOOLED)), far)
    assert Law.of([*UNPOOLED, POOLED[0]], values) is None


def test_numbers_near_the_largest_keep_no_law() -> None:
    random = np.random.default_rng(1)
    for least in (-1.7e308, 0.0):
        assert Law.of(DRAWN[:30], random.uniform(least / 2, 0.85e308, 30) * 2) is None


@pytest.mark.parametrize("objectives", [1, 2])
def test_a_bound_on_what_is_known_is_climbed_to(objectives: int) -> None:
    """Few networks are as slow as the bound asks, and the objective pulls the other way."""
    slow = float(np.quantile(latencies(DRAWN), 0.95))
    limit = Constraint("latency", Comparison.AT_LEAST, slow)
    goals = (Objective("speed"), Objective("parameters", Goal.MINIMIZE))[:objectives]
    spec = SearchSpec(CELLS, goals, (limit,), trials=100)
    metrics = [
        {"speed": -latency_of(each), "latency": latency_of(each), "parameters": float(each.parameters)}
        for each in DRAWN
    ]
    known = [place for place, each in enumerate(metrics) if each["latency"] < 0.6 * slow]
    trials = [
        Trial(place, DRAWN[place].architecture, metrics[place], ended=True, refused=True) for place in known
    ]
    model = build(spec, trials, [DRAWN[place] for place in known], [], YARDSTICK, GaussianSurrogate.fitted)
    assert model is not None
    assert model.limits[0].model.law is not None
    rest = [each for each in DRAWN if 0.6 * slow <= latency_of(each) < slow]
    rows = Rows.of(rest, YARDSTICK)
    scores = promise("expected-improvement", model, rest, rows, np.random.default_rng(1)).scores()
    assert (scores > 0).all()
    assert np.argmax(scores) == np.argmax(latencies(rest))
