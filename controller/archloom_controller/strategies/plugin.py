"""One plugin as the gateway sees it, however it is reached."""

from __future__ import annotations

from typing import Protocol

from archloom.v1 import strategy_pb2

#: Largest message either way: a state of 3 MiB and what stands around it.
MESSAGE_BYTES = 8 * 1024 * 1024
#: Largest request: the log comes in pages, but whole where the replicas behind one address take turns.
HISTORY_BYTES = 256 * 1024 * 1024


class Plugin(Protocol):
    """Calls raise StrategyUnreachable or StrategyFailed."""

    @property
    def name(self) -> str:
        """Empty until the plugin has told it."""
        ...

    @property
    def address(self) -> str:
        """Empty for a plugin that called in."""
        ...

    @property
    def description(self) -> strategy_pb2.StrategyDescription | None: ...

    @property
    def serving(self) -> bool: ...

    @property
    def problem(self) -> str:
        """Why it is not serving."""
        ...

    async def validate(
        self, request: strategy_pb2.ValidateStrategyRequest, seconds: float
    ) -> strategy_pb2.ValidateStrategyResponse: ...

    async def propose(self, request: strategy_pb2.ProposeRequest, seconds: float) -> bytes:
        """The answer as it came, unchecked."""
        ...

    async def close(self) -> None: ...
