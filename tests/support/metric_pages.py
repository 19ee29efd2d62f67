"""What the Prometheus pages of a stack's processes say."""

from __future__ import annotations

from archloom_local import health
from archloom_local.stack import LocalStack
from prometheus_client.parser import text_string_to_metric_families


def readings(stack: LocalStack, sample: str, *, kind: str = "controller", **labels: str) -> list[float]:
    """Every value of a sample, on the pages of all processes of a kind: controller, worker or strategy."""
    pages = [health.page(address, "/metrics") for name, address in stack.metrics.items() if kind in name]
    assert pages
    assert None not in pages
    return [
        found.value
        for page in pages
        for family in text_string_to_metric_families(page or "")
        for found in family.samples
        if found.name == sample and labels.items() <= found.labels.items()
    ]


def total(stack: LocalStack, kind: str, sample: str, **labels: str) -> float:
    """The sum of a sample over all processes of a kind."""
    return sum(readings(stack, sample, kind=kind, **labels))
