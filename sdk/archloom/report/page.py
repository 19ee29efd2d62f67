"""report.html: one file that needs no network, reads in light and dark, and runs no script."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from archloom.report import figures
from archloom.report.network import draw_network
from archloom.report.outcome import Outcome
from archloom.report.result import architecture_data
from archloom.report.words import date, duration, number, short_name


def render_page(outcome: Outcome) -> str:
    """The whole page. Every text of users and servers is escaped."""
    source = files("archloom.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    style = files("archloom.report").joinpath("page.css").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "short": short_name, "date": date, "duration": duration}
    return environment.from_string(source).render(style=Markup(style), **_context(outcome))


def _context(outcome: Outcome) -> dict[str, Any]:
    experiment, report = outcome.experiment, outcome.report
    network = report.network
    plot, missing = draw_network(network) if network is not None else (None, "")
    winner = outcome.winner
    return {
        "title": experiment.display_name or short_name(experiment.name),
        "experiment": experiment,
        "report": report,
        "objectives": outcome.objectives,
        "first": outcome.objectives[0],
        "lower": outcome.lower,
        "front_metrics": outcome.front_metrics,
        "winner": winner,
        "winner_data": architecture_data(winner.architecture) if winner is not None else {},
        "best_plot": figures.best_so_far(outcome),
        "front_plot": figures.front(outcome),
        "curves_plot": figures.finalist_curves(outcome),
        "network": network,
        "network_plot": plot,
        "no_network_plot": missing,
        "spec_text": yaml.safe_dump(
            experiment.spec.to_dict(), sort_keys=False, allow_unicode=True, width=100
        ),
        "caveats": _caveats(outcome),
    }


def _caveats(outcome: Outcome) -> list[str]:
    """What a reader must not conclude."""
    report = outcome.report
    notes = list(report.notes)
    if report.test is not None and report.test.lower < report.test.upper:
        notes.append(
            f"The interval of the test score tells how sure {report.test.examples:,} examples make it. "
            "It does not hold the spread over training seeds, nor other data than this set."
        )
    control = report.control
    if control is not None and control.verdict != "better":
        notes.append(
            "This run does not show that the strategy beats random search. "
            "That is no evidence that the two are equal."
        )
    if control is not None and control.matched_trials:
        notes.append(
            f"The margin compares the first {control.matched_trials} trials of each side. "
            "What the strategy reached later has no random counterpart: it is not identified."
        )
    if "latency_ms" in report.winner_metrics:
        notes.append("Latency holds for the device, batch size and software it was measured with.")
    return notes
