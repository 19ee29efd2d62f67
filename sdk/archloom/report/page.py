"""report.html."""

from __future__ import annotations

from archloom.report.outcome import Outcome


def render_page(outcome: Outcome) -> str:
    return outcome.experiment.name
