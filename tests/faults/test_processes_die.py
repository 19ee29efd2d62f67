"""Processes that die or hang at random moments of a search: the promises hold, and replay is equal."""

from __future__ import annotations

from pathlib import Path

import pytest
from archloom_local.stack import LocalStack
from fault_injection import FAULTS, run_one


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_promises_hold(fault: str, seed: int, stack: LocalStack, table: Path) -> None:
    run_one(stack, table, fault, seed)
