"""What every strategy is to those who ask it: three calls."""

from __future__ import annotations

from typing import Protocol

from archloom.v1 import strategy_pb2


class Plugin(Protocol):
    """A strategy that can be asked: a StrategyRuntime in this process, or one behind a socket.

    Each call raises an ArchloomError: InvalidInput for a request at fault, InternalError with a sentence
    when the strategy failed, Unavailable when it is not there.
    """

    def describe(self) -> strategy_pb2.StrategyDescription: ...

    def validate(
        self, request: strategy_pb2.ValidateStrategyRequest
    ) -> strategy_pb2.ValidateStrategyResponse: ...

    def propose(self, request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse: ...
