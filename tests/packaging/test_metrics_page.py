"""docs/metrics.md names every metric with its type and labels, and only metrics that exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from archloom.strategy.metrics import StrategyMetrics
from archloom_controller.metrics import Metrics
from archloom_evaluators.worker import counters
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(archloom_\w+)` \| (\w+) \| ([^|]*)\|", re.MULTILINE)

Entry = tuple[str, tuple[str, ...]]


def told(metrics: Iterable[Any]) -> Mapping[str, Entry]:
    """By name: type and labels."""
    found: dict[str, Entry] = {}
    for metric in metrics:
        if isinstance(metric, Counter | Gauge | Histogram):
            (described,) = metric.describe()
            name = described.name + ("_total" if isinstance(metric, Counter) else "")
            found[name] = (described.type, tuple(sorted(metric._labelnames)))
    return found


def test_the_page_lists_the_metrics() -> None:
    existing = {
        **told(vars(Metrics(CollectorRegistry())).values()),
        **told(vars(counters).values()),
        **told(vars(StrategyMetrics(CollectorRegistry())).values()),
    }
    # Prometheus's library tells the processes of a worker apart by itself.
    kind, labels = existing["archloom_evaluator_busy_share"]
    existing["archloom_evaluator_busy_share"] = (kind, tuple(sorted((*labels, "pid"))))
    listed = {
        name: (kind, tuple(sorted(re.findall(r"`(\w+)`", labels))))
        for name, kind, labels in ROW.findall(PAGE.read_text())
    }
    assert len(existing) > 30
    assert listed == existing


def test_queries_ask_for_what_exists() -> None:
    page = PAGE.read_text()
    names = {name for name, _, _ in ROW.findall(page)}
    queries = page[page.index("## Questions") :]
    asked = {name.removesuffix("_bucket") for name in re.findall(r"archloom_\w+", queries)}
    assert len(asked) > 5
    assert asked <= names
