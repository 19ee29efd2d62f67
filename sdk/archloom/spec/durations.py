"""Durations as people write them: ``5m``, ``1h30m``, ``250ms``, or a number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

_UNITS = {
    "d": Decimal(86_400_000_000),
    "h": Decimal(3_600_000_000),
    "m": Decimal(60_000_000),
    "s": Decimal(1_000_000),
    "ms": Decimal(1_000),
    "us": Decimal(1),
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(d|h|ms|us|m|s)")
LONGEST = timedelta(days=3650)


def parse_duration(value: object) -> timedelta:
    """Exact to the microsecond. Raises ValueError with a sentence for people."""
    if isinstance(value, timedelta):
        found = value
    elif isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a duration such as 5m, 90s or 1h30m")
    elif isinstance(value, str):
        found = _parse_text(value)
    elif value != value or abs(value) > LONGEST.total_seconds():
        raise ValueError(f"must be between 0 and {LONGEST.days} days")
    else:
        found = timedelta(seconds=value)
    if not timedelta(0) <= found <= LONGEST:
        raise ValueError(f"must be between 0 and {LONGEST.days} days")
    return found


def _parse_text(text: str) -> timedelta:
    compact = text.strip().replace(" ", "")
    parts = _PART.findall(compact) if len(compact) <= 100 else []
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"{text[:40]!r} is not a duration: write 5m, 90s or 1h30m")
    microseconds = sum((Decimal(number) * _UNITS[unit] for number, unit in parts), Decimal(0))
    if microseconds > LONGEST // timedelta(microseconds=1):
        raise ValueError(f"must be between 0 and {LONGEST.days} days")
    return timedelta(microseconds=int(microseconds))


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back to the same value."""
    left = value // timedelta(microseconds=1)
    parts = []
    for unit, size in _UNITS.items():
        count, left = divmod(left, int(size))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
