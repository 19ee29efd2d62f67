"""Numbers, times and names as a report writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def number(value: float | None, digits: int = 5) -> str:
    """So many significant digits; whole numbers with separators; a dash for nothing."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100_000 else f"{value:.{digits}g}"


def date(value: datetime | None) -> str:
    return "–" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """3 h 20 min, 12 min, 48 s."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 120 else f"{minutes} min"


def short_name(name: str) -> str:
    """The last part of a resource name."""
    return name.rpartition("/")[2]
