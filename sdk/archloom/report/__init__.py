"""What an experiment leaves behind for readers: result.json and report.html."""

from archloom.report.outcome import Outcome, shown_metrics
from archloom.report.page import render_page
from archloom.report.result import SCHEMA, result_of

__all__ = ["SCHEMA", "Outcome", "render_page", "result_of", "shown_metrics"]
