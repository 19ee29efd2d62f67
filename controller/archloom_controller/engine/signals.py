"""Wake-ups inside a replica, and between replicas. Losing or doubling one changes latency, never a result."""

from __future__ import annotations

import asyncio
from collections import defaultdict


def owner_key(uid: str) -> str:
    """Something happened that the experiment's owner should sequence."""
    return f"owner:{uid}"


def watch_key(uid: str) -> str:
    """The experiment's log grew."""
    return f"watch:{uid}"


def queue_key(device_class: str) -> str:
    """Trials became ready for this device class."""
    return f"queue:{device_class}"


class Signals:
    """Named conditions: whoever waits for a name is woken by its next notice, in other replicas too."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._outgoing: set[str] = set()
        #: Whether there are other replicas to tell.
        self.broadcasting = False

    def notify(self, key: str) -> None:
        if self.broadcasting:
            self._outgoing.add(key)
        self.notify_here(key)

    def take_outgoing(self) -> set[str]:
        """What the other replicas are to be told, each key once; it is theirs then."""
        outgoing, self._outgoing = self._outgoing, set()
        return outgoing

    def notify_here(self, key: str) -> None:
        for event in self._waiting.get(key, ()):
            event.set()

    def subscribe(self, key: str) -> Subscription:
        """A notice that comes between the subscription and its wait is not missed."""
        return Subscription(self._waiting, key)


class Subscription:
    """Use as a context manager; ``wait`` answers at the first notice since the last wait, or after the
    timeout.
    """

    def __init__(self, waiting: defaultdict[str, set[asyncio.Event]], key: str) -> None:
        self._waiting = waiting
        self._key = key
        self._event = asyncio.Event()

    def __enter__(self) -> Subscription:
        self._waiting[self._key].add(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting[self._key].discard(self._event)
        if not self._waiting[self._key]:
            del self._waiting[self._key]

    async def wait(self, timeout_seconds: float) -> bool:
        """Whether a notice came."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
