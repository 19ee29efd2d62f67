"""The log as a cold replica of a plugin gets it."""

from __future__ import annotations

from bisect import bisect_right

from archloom.v1 import strategy_pb2

from archloom_controller.interfaces import ProposeContext

#: gRPC's own limit in most languages, less room for the frame around the request.
_MESSAGE_BYTES = 4 * 1024 * 1024 - 64 * 1024
#: A page has at least this, however large the rest of the request is.
_LEAST_BYTES = 256 * 1024


class Pages:
    """Of one step's log, in pages that follow each other while the replica that asks stays the same one.

    Another one behind the same address, which knows nothing of the pages before, gets the rest whole: the
    next page might meet the first replica again.
    """

    def __init__(self, context: ProposeContext, until: int) -> None:
        self._context = context
        self._until = until
        self._log: list[strategy_pb2.Observation] = []
        self._first: int | None = None
        self._reached: int | None = None

    async def put(self, asked: strategy_pb2.ProposeRequest, start: int) -> bool:
        """Put what comes after ``start`` into the request; whether this is the page after the last one."""
        if self._first is None or start < self._first:
            self._log, self._first = await self._context.history(start, self._until), start
        follows = start == self._reached and start < self._until
        del asked.history[:]
        asked.ClearField("history_until")
        asked.history_after = start
        rest = self._log[bisect_right(self._log, start, key=lambda seen: seen.sequence) :]
        if follows or self._reached is None:
            page = _page(rest, max(_LEAST_BYTES, _MESSAGE_BYTES - asked.ByteSize()))
            if len(page) < len(rest):
                asked.history_until = page[-1].sequence
            rest = page
        asked.history.extend(rest)
        self._reached = asked.history_until if asked.HasField("history_until") else self._until
        return follows


def _page(log: list[strategy_pb2.Observation], room: int) -> list[strategy_pb2.Observation]:
    """The first observations that fit into so many bytes, one at least."""
    for count, seen in enumerate(log):
        # Tag and length before each.
        room -= seen.ByteSize() + 6
        if room < 0 and count:
            return log[:count]
    return log
