"""The figures of a report: which points, on which axes."""

from __future__ import annotations

from markupsafe import Markup

from archloom.client import Trial
from archloom.report.outcome import Outcome
from archloom.report.plots import Axis, Point, Series, plot
from archloom.report.words import number, short_name

_COLOURS = 6


def best_so_far(outcome: Outcome) -> Markup | None:
    """The best value after each trial, the strategy's beside its controls'."""
    metric = outcome.objectives[0].metric
    series = []
    for role, name, colour in (
        ("search", "strategy", "strategy"),
        ("control", "random controls", "controls"),
    ):
        points = [
            Point(count, value, f"{name}: {number(value)} after {count} trials")
            for count, value in outcome.best_so_far(role)
        ]
        if points:
            series.append(Series(name, points, colour, "steps"))
    if not series:
        return None
    xs = [point.x for each in series for point in each.points]
    ys = [point.y for each in series for point in each.points]
    ends = "; ".join(
        f"{each.name} reach {number(each.points[-1].y)} after {each.points[-1].x:.0f} trials"
        for each in series
    )
    return plot(
        f"Best {metric} so far, by trials spent",
        ends,
        Axis.over("trials", [0, *xs], whole=True),
        Axis.over(f"best {metric} so far", ys),
        series,
    )


def front(outcome: Outcome) -> Markup | None:
    """All completed trials of the full fidelity over the first two objectives, the front among them ringed.

    With one objective the second axis is the number of parameters, when it was measured.
    """
    first = outcome.objectives[0].metric
    second = outcome.objectives[1].metric if len(outcome.objectives) > 1 else "parameters"
    if first == second:
        return None
    done = [
        each
        for each in outcome.trials
        if each.state == "completed" and outcome.is_full(each) and {first, second} <= each.metrics.keys()
    ]
    if len(done) < 2:
        return None
    members = {each.number for each in outcome.report.front}
    series = []
    for role, name, colour in (
        ("search", "strategy", "strategy"),
        ("user", "yours", "series-2"),
        ("control", "random controls", "controls"),
    ):
        points = [_front_point(each, second, first) for each in done if each.role == role]
        if points:
            series.append(Series(name, points, colour, "points"))
    ringed = [_front_point(each, second, first) for each in done if each.number in members]
    if len(outcome.objectives) > 1 and ringed:
        series.append(Series("front", ringed, "front", "points", ringed=True))
    return plot(
        f"{first} against {second}",
        f"{len(done)} completed trials, {len(ringed)} of them on the front",
        Axis.over(second, [each.metrics[second] for each in done], may_be_log=True),
        Axis.over(first, [each.metrics[first] for each in done]),
        series,
    )


def finalist_curves(outcome: Outcome) -> Markup | None:
    """The learning curve of each finalist's runs, a colour a finalist."""
    metric = outcome.objectives[0].metric
    series = []
    xs: list[float] = []
    ys: list[float] = []
    for place, finalist in enumerate(outcome.report.finalists):
        name = f"trial {short_name(finalist.trial)}"
        for number_, run in enumerate(finalist.runs):
            points = [
                Point(
                    each.progress,
                    each.metrics[metric],
                    f"{name}, seed {run.seed}: {number(each.metrics[metric])}",
                )
                for each in run.measurements
                if metric in each.metrics
            ]
            if points:
                # One entry of the legend for the runs of a finalist.
                series.append(Series(name if number_ == 0 else "", points, f"series-{place % _COLOURS}"))
                xs += [point.x for point in points]
                ys += [point.y for point in points]
    if not series:
        return None
    return plot(
        f"{metric} of the finalists while they train",
        f"{len(series)} runs of {len(outcome.report.finalists)} finalists",
        Axis.over("epochs", [0, *xs], whole=True),
        Axis.over(metric, ys),
        series,
    )


def _front_point(trial: Trial, x: str, y: str) -> Point:
    label = f"trial {trial.number}: {y} {number(trial.metrics[y])}, {x} {number(trial.metrics[x])}"
    return Point(trial.metrics[x], trial.metrics[y], label)
