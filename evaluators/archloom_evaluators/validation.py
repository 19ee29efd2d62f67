"""Faults of settings as sentences."""

from __future__ import annotations

from pydantic import ValidationError


def explain(prefix: str, error: ValidationError) -> str:
    """Each fault with its path, by semicolons."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join([prefix, *(str(part) for part in fault["loc"])])
        faults.append(f"{path}: {fault['msg']}")
    return "; ".join(faults)
