"""Waiting for a condition, with a deadline far beyond what it should take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_for(
    condition: Callable[[], Value | None], seconds: float = 60.0, what: str = "a condition"
) -> Value:
    """The condition's first true value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what} in vain")
        time.sleep(0.02)
    return value
