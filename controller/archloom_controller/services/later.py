"""Services whose messages are part of the contract and whose work comes with later versions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from archloom.errors import Unimplemented


class LaterServicer:
    """Every method of ``service`` answers UNIMPLEMENTED, with a sentence."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __getattr__(self, method: str) -> Callable[[Any, Any], Awaitable[Any]]:
        async def refuse(request: Any, context: Any) -> Any:
            raise Unimplemented(f"{self._service}.{method} comes with a later version of Archloom")

        return refuse
