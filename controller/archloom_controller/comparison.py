"""The strategy against its random controls: what a rank test says, and what it does not."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from archloom.v1 import experiment_pb2
from archloom.v1.experiment_pb2 import Verdict
from scipy.stats import mannwhitneyu

#: With fewer on either side no result of the test could be called significant, or hardly any.
MIN_TRIALS = 4
LEVEL = 0.05


@dataclass(frozen=True)
class Outcome:
    """One trial: its objectives, less is better; None when it failed or broke a constraint, which is worse
    than any value.
    """

    values: tuple[float, ...] | None
    device_seconds: float = 0.0


@dataclass(frozen=True)
class RankTest:
    """One-sided: whether the strategy's trials are no better than the controls. ``better`` is P(strategy
    beats control).
    """

    p_value: float
    better: float


def ranks(pool: Sequence[Outcome]) -> list[float]:
    """A number for each, less is better: the one objective, or with several how many of the pool dominate
    it. Takes n log n steps for two objectives, n^2 comparisons for more.
    """
    feasible = [each.values for each in pool if each.values is not None]
    objectives = len(feasible[0]) if feasible else 1
    if objectives == 1:
        return [float("inf") if each.values is None else each.values[0] for each in pool]
    counts = iter(_dominators_of_pairs(feasible) if objectives == 2 else _dominators(feasible))
    return [float(len(pool)) if each.values is None else float(next(counts)) for each in pool]


def _dominators_of_pairs(values: Sequence[tuple[float, ...]]) -> list[int]:
    """For each of n pairs how many others dominate it: a sweep by the first number, with a tree of counts
    over the second (Fenwick 1994).
    """
    places = {second: place for place, second in enumerate(sorted({pair[1] for pair in values}), 1)}
    tree = [0] * (len(places) + 1)
    dominators: dict[tuple[float, ...], int] = {}
    # Lexicographic: whatever dominates a pair has been swept before it, and of that all with a second number
    # no greater does.
    for pair, alike in sorted(Counter(values).items()):
        place, count = places[pair[1]], 0
        while place:
            count += tree[place]
            place &= place - 1
        dominators[pair] = count
        place = places[pair[1]]
        while place < len(tree):
            tree[place] += alike
            place += place & -place
    return [dominators[pair] for pair in values]


def _dominators(values: Sequence[tuple[float, ...]]) -> list[int]:
    """The same for any number of objectives, in blocks of some 16 MiB that leave the interpreter to
    other threads while they are compared.
    """
    points, alike = np.unique(np.array(values), axis=0, return_counts=True)
    rows = max(1, 2**21 // len(points))
    dominators: dict[tuple[float, ...], int] = {}
    for start in range(0, len(points), rows):
        block = points[start : start + rows]
        no_worse = np.ones((len(block), len(points)), dtype=bool)
        for column in range(points.shape[1]):
            no_worse &= points[None, :, column] <= block[:, None, column]
        own = alike[start : start + rows]
        for point, count in zip(block.tolist(), no_worse @ alike - own, strict=True):
            dominators[tuple(point)] = int(count)
    return [dominators[point] for point in values]


def rank_test(strategy: Sequence[Outcome], controls: Sequence[Outcome]) -> RankTest:
    """Mann and Whitney (1947). Neither side may be empty."""
    numbers = ranks([*strategy, *controls])
    ours, theirs = numbers[: len(strategy)], numbers[len(strategy) :]
    if len(set(numbers)) == 1:
        return RankTest(1.0, 0.5)
    outcome = mannwhitneyu(ours, theirs, alternative="less")
    worse = float(outcome.statistic) / (len(ours) * len(theirs))
    return RankTest(float(outcome.pvalue), 1.0 - worse)


def compare(
    strategy: Sequence[Outcome], controls: Sequence[Outcome], metric: str, sign: float
) -> experiment_pb2.ControlComparison:
    """Both in the order in which they were made. ``sign`` is the factor that made less better in the first
    objective.
    """
    matched = min(len(strategy), len(controls))
    first = strategy[:matched]
    comparison = experiment_pb2.ControlComparison(
        strategy_first=_summary(first, sign),
        strategy_all=_summary(strategy, sign),
        controls=_summary(controls, sign),
        matched_trials=matched,
    )
    best_first, best_control = _best(first), _best(controls[:matched])
    if best_first is not None and best_control is not None:
        comparison.margin = best_control - best_first
    test: RankTest | None = None
    if strategy and controls:
        test = rank_test(strategy, controls)
        comparison.p_value = test.p_value
        comparison.probability_better = test.better
    if test is None or min(len(strategy), len(controls)) < MIN_TRIALS:
        comparison.verdict = Verdict.VERDICT_NOT_IDENTIFIED
    else:
        shown = test.p_value <= LEVEL
        comparison.verdict = Verdict.VERDICT_BETTER if shown else Verdict.VERDICT_NOT_SHOWN
    comparison.statement = _statement(comparison, metric, sign, len(strategy))
    return comparison


def _best(outcomes: Sequence[Outcome]) -> float | None:
    return min((each.values[0] for each in outcomes if each.values is not None), default=None)


def _summary(outcomes: Sequence[Outcome], sign: float) -> experiment_pb2.SampleSummary:
    values = [each.values[0] for each in outcomes if each.values is not None]
    summary = experiment_pb2.SampleSummary(
        trials=len(outcomes),
        failed=len(outcomes) - len(values),
        device_seconds=sum(each.device_seconds for each in outcomes),
    )
    if values:
        summary.best = sign * min(values)
        summary.median = sign * statistics.median(values)
    return summary


def _statement(comparison: experiment_pb2.ControlComparison, metric: str, sign: float, trials: int) -> str:
    """For people: what was measured, what the test says, and what is not identified."""
    controls = comparison.controls.trials
    if comparison.verdict == Verdict.VERDICT_NOT_IDENTIFIED:
        return (
            f"{trials} trials of the strategy and {controls} random controls are too few to compare: whether "
            "the strategy is better than random search is not identified "
            f"(at least {MIN_TRIALS} of each are needed)."
        )
    matched = comparison.matched_trials
    parts = []
    if comparison.HasField("margin"):
        # There may be more controls than trials of the strategy: as many of each are told here.
        best_control = comparison.strategy_first.best + sign * comparison.margin
        parts.append(
            f"the best {metric} of the strategy's first {matched} trials is "
            f"{comparison.strategy_first.best:.4g}, that of {matched} random controls "
            f"{best_control:.4g} ({comparison.margin:+.4g} for the strategy)"
        )
    verdict = (
        "better than random search"
        if comparison.verdict == Verdict.VERDICT_BETTER
        else "not shown to be better than random search"
    )
    parts.append(
        f"over all {trials} trials and {controls} controls the strategy is {verdict} (a trial of it beats a "
        f"control with probability {comparison.probability_better:.2f}, "
        f"one-sided Mann-Whitney p = {comparison.p_value:.3g})"
    )
    parts.append(f"what random search would have found with more than {controls} trials is not identified")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."
