"""Pages of short lists: opaque tokens from the first day."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from archloom.errors import InvalidInput, Violation

T = TypeVar("T")
DEFAULT_SIZE = 50


def page_token(kind: str, after: str | int) -> str:
    """Where the next page of a listing begins."""
    return base64.urlsafe_b64encode(json.dumps([kind, after]).encode()).decode().rstrip("=")


def read_token(kind: str, token: str) -> str | int | None:
    """What ``page_token`` was given; None for the first page. Raises InvalidInput."""
    if not token:
        return None
    try:
        told, after = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, binascii.Error):
        told, after = None, None
    if told != kind or not isinstance(after, str | int):
        raise InvalidInput([Violation("page_token", "is not one that this listing gave")])
    return after


def page(
    kind: str, items: Sequence[T], key: Callable[[T], str], size: int, token: str
) -> tuple[list[T], str]:
    """One page of all ``items``, sorted by ``key``, and the token of the next ("" for none)."""
    after = read_token(kind, token)
    rest = sorted(items, key=key)
    if after is not None:
        rest = [item for item in rest if key(item) > str(after)]
    size = size or DEFAULT_SIZE
    taken = rest[:size]
    return taken, page_token(kind, key(taken[-1])) if len(rest) > size else ""
