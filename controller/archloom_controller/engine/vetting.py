"""Architectures are checked before they become trials: within the space, buildable, within the limits that
need no training.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from archloom.space import Architecture, SpaceError
from archloom.v1 import architecture_pb2

from archloom_controller.engine.frame import Frame

_KEPT = 4096
_KEPT_BYTES = 32 * 1024 * 1024
_REASON_LENGTH = 1000


@dataclass(frozen=True)
class Vetted:
    """An architecture that may become a trial, or why not: ``refusal`` is one word, ``reason`` a sentence."""

    architecture: bytes
    key: str
    graph: str
    #: What results of equal value share: the canonical graph and the recipe, or the decisions.
    identity: tuple[object, ...]
    metrics: dict[str, float]
    refusal: str = ""
    reason: str = ""


class Vetting:
    """Checks one experiment's architectures; remembers some thousands. CPU work: call it in a thread, one
    call at a time.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._known: OrderedDict[bytes, Vetted] = OrderedDict()
        self._bytes = 0

    def vet(self, messages: list[architecture_pb2.Architecture]) -> list[Vetted]:
        return [self._remembered(message) for message in messages]

    def _remembered(self, message: architecture_pb2.Architecture) -> Vetted:
        data = message.SerializeToString(deterministic=True)
        vetted = self._known.get(data)
        if vetted is None:
            vetted = self._vet(message, data)
            self._known[data] = vetted
            self._bytes += _weight(data, vetted)
            while len(self._known) > _KEPT or self._bytes > _KEPT_BYTES:
                self._bytes -= _weight(*self._known.popitem(last=False))
        return vetted

    def _vet(self, message: architecture_pb2.Architecture, data: bytes) -> Vetted:
        try:
            architecture = Architecture.from_proto(message)
            if self._frame.space.tree.constraints:
                faults = self._frame.space.check(architecture)
                if faults:
                    raise SpaceError(faults)
            else:
                # Beyond this ``check`` only looks whether it builds, which drawing up the graph does too.
                self._frame.space.require(architecture)
            return self._measure(architecture) if self._frame.reads_data else _look_up(architecture)
        except SpaceError as error:
            reason = "; ".join(str(fault) for fault in error.violations[:5])
            return Vetted(data, "", "", (), {}, "invalid", reason[:_REASON_LENGTH])

    def _measure(self, architecture: Architecture) -> Vetted:
        """Canonical bytes, the graph's digest, and the limits that the graph alone decides."""
        frame = self._frame
        data = architecture.to_proto().SerializeToString(deterministic=True)
        key = str(architecture.key)
        graph = frame.space.graph(architecture, classes=frame.classes or None)
        metrics = {"parameters": float(graph.parameters), "flops": float(graph.flops)}
        broken = frame.broken(metrics)
        recipe = sorted((name, repr(value)) for name, value in frame.space.recipe(architecture).items())
        identity = (graph.hash, *recipe)
        refusal = "constraint" if broken else ""
        return Vetted(data, key, graph.hash, identity, metrics, refusal, "; ".join(broken))

    def vet_drawn(self, architecture: Architecture) -> Vetted:
        """The same for one that the controller drew itself: it lies in the space."""
        return self._remembered(architecture.to_proto())


def _weight(data: bytes, vetted: Vetted) -> int:
    """About the bytes that remembering it takes."""
    return len(data) + len(vetted.architecture) + len(vetted.key) + len(vetted.reason)


def _look_up(architecture: Architecture) -> Vetted:
    """For evaluators that build nothing: their results belong to the decisions.

    No graph is drawn up: it costs a millisecond or two, more than all else that such a trial costs.
    """
    data = architecture.to_proto().SerializeToString(deterministic=True)
    key = str(architecture.key)
    return Vetted(data, key, "", (key,), {})
