"""Who makes the call that the current task serves."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from archloom.errors import Unauthenticated, Violation

from archloom_controller.interfaces import principal

ANYONE = "anyone"
TOKEN_HOLDER = "token"


@dataclass(frozen=True)
class Caller:
    """``principal`` keys request ids; ``gone`` is set when the caller cancelled or its deadline passed."""

    principal: str
    gone: asyncio.Event = field(default_factory=asyncio.Event)


_current: ContextVar[Caller] = ContextVar("archloom_caller")


def current_caller() -> Caller:
    """The caller served by this task; outside a call, an anonymous one that never leaves."""
    try:
        return _current.get()
    except LookupError:
        return Caller(ANYONE)


_broken: ContextVar[tuple[Violation, ...]] = ContextVar("archloom_broken_rules", default=())


def set_broken_rules(faults: Sequence[Violation]) -> None:
    _broken.set(tuple(faults))


def broken_rules(field: str) -> tuple[list[Violation], list[Violation]]:
    """The rules that the current request breaks, for a handler that reports them among faults of its own:
    those outside ``field``, and those within, their paths from there.
    """
    within = [fault for fault in _broken.get() if fault.field == field or fault.field.startswith(f"{field}.")]
    others = [fault for fault in _broken.get() if fault not in within]
    cut = len(field) + 1
    return others, [Violation(fault.field[cut:], fault.message) for fault in within]


def set_caller(caller: Caller) -> None:
    _current.set(caller)
    principal.set(caller.principal)


class Gate:
    """Lets callers in. With a token set, every call brings it; without, anyone on loopback may call."""

    def __init__(self, token: str = "") -> None:
        self._token = token.encode()

    def principal(self, metadata: Iterable[tuple[str, str | bytes]]) -> str:
        """Who calls, by the call's metadata. Raises Unauthenticated."""
        if not self._token:
            return ANYONE
        for key, value in metadata:
            if key == "authorization":
                given = value if isinstance(value, bytes) else value.encode()
                scheme, _, secret = given.partition(b" ")
                if scheme.lower() == b"bearer" and hmac.compare_digest(secret.strip(), self._token):
                    return TOKEN_HOLDER
                raise Unauthenticated("the token is not valid: set ARCHLOOM_TOKEN to the server's")
        raise Unauthenticated("this server wants a token: set ARCHLOOM_TOKEN")
