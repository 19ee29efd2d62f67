"""SpaceService: the tools of a strategy on any space, for plugins in any language.

Reading a space and working on it is CPU work, so it runs in threads; spaces read lately are kept by the
digest of their bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, MutableSequence, Sequence
from random import Random
from threading import Lock
from typing import Any, TypeVar

from archloom.errors import InvalidInput, NotFound, Violation
from archloom.resources import ExperimentName
from archloom.space import Architecture, SizeEstimate, Space, SpaceError, load_preset
from archloom.space.decisions.describing import digits
from archloom.space.messages.values import write_domain, write_literal
from archloom.space.operations.messages import all_operations
from archloom.v1 import architecture_pb2, space_pb2, space_service_pb2, space_service_pb2_grpc

from archloom_controller.rpc.rules import Rules
from archloom_controller.services.paging import page, page_token, read_token

S = TypeVar("S")
T = TypeVar("T")

_KEPT = 64
_PAGE = 100
_MOST = 1000
#: Numbers looked at for one page of an enumeration: where constraints leave little, pages come short.
_LOOKED_AT = 50000
#: Architectures worked on in a thread before the event loop is asked whether anybody still waits.
_AT_ONCE = 100
_ENCODINGS: dict[int, Any] = {
    space_service_pb2.ARCHITECTURE_ENCODING_VECTOR: "vector",
    space_service_pb2.ARCHITECTURE_ENCODING_PATH: "path",
    space_service_pb2.ARCHITECTURE_ENCODING_GRAPH: "graph",
}

#: The space of an experiment, None when there is no such experiment.
SpaceOf = Callable[[ExperimentName], Awaitable[space_pb2.Space | None]]


class SpaceServicer(space_service_pb2_grpc.SpaceServiceServicer):
    def __init__(self, space_of: SpaceOf, rules: Rules) -> None:
        self._space_of = space_of
        self._rules = rules
        self._kept: OrderedDict[bytes, Space] = OrderedDict()
        self._lock = Lock()

    async def ValidateSpace(
        self, request: space_service_pb2.ValidateSpaceRequest, context: Any
    ) -> space_service_pb2.ValidateSpaceResponse:
        try:
            self._rules.require(request)
            space = await self._space(request.source)
        except InvalidInput as error:
            violations = [
                space_service_pb2.SpaceViolation(
                    path=fault.field.removeprefix("source.space").removeprefix("."), message=fault.message
                )
                for fault in error.violations
            ]
            return space_service_pb2.ValidateSpaceResponse(violations=violations)
        return space_service_pb2.ValidateSpaceResponse(digest=space.digest)

    async def DescribeSpace(
        self, request: space_service_pb2.DescribeSpaceRequest, context: Any
    ) -> space_service_pb2.DescribeSpaceResponse:
        space = await self._space(request.source)
        named = request.source.WhichOneof("source") != "space"
        return await asyncio.to_thread(_describe, space, named)

    async def SampleArchitectures(
        self, request: space_service_pb2.SampleArchitecturesRequest, context: Any
    ) -> space_service_pb2.SampleArchitecturesResponse:
        space, rng = await self._space(request.source), Random(request.seed)
        every = request.uniformity == space_service_pb2.UNIFORMITY_ARCHITECTURES

        uniform: Any = "architectures" if every else "decisions"

        def work(_: int) -> architecture_pb2.Architecture:
            return space.sample(rng, uniform).to_proto()

        answer = space_service_pb2.SampleArchitecturesResponse()
        await _each("", range(request.count), work, answer.architectures)
        return answer

    async def MutateArchitectures(
        self, request: space_service_pb2.MutateArchitecturesRequest, context: Any
    ) -> space_service_pb2.MutateArchitecturesResponse:
        space, rng = await self._space(request.source), Random(request.seed)
        rate = request.rate if request.HasField("rate") else None

        def work(parent: architecture_pb2.Architecture) -> architecture_pb2.Architecture:
            return space.mutate(Architecture.from_proto(parent), rng, rate).to_proto()

        answer = space_service_pb2.MutateArchitecturesResponse()
        await _each("parents", request.parents, work, answer.architectures)
        return answer

    async def CrossArchitectures(
        self, request: space_service_pb2.CrossArchitecturesRequest, context: Any
    ) -> space_service_pb2.CrossArchitecturesResponse:
        space, rng = await self._space(request.source), Random(request.seed)

        def work(pair: space_service_pb2.ArchitecturePair) -> architecture_pb2.Architecture:
            first, second = Architecture.from_proto(pair.first), Architecture.from_proto(pair.second)
            return space.cross(first, second, rng).to_proto()

        answer = space_service_pb2.CrossArchitecturesResponse()
        await _each("pairs", request.pairs, work, answer.architectures)
        return answer

    async def EncodeArchitectures(
        self, request: space_service_pb2.EncodeArchitecturesRequest, context: Any
    ) -> space_service_pb2.EncodeArchitecturesResponse:
        space, kind = await self._space(request.source), _ENCODINGS[request.encoding]

        def work(given: architecture_pb2.Architecture) -> space_service_pb2.EncodedArchitecture:
            architecture = Architecture.from_proto(given)
            space.require(architecture)
            return space_service_pb2.EncodedArchitecture(values=space.encode(architecture, kind))

        answer = space_service_pb2.EncodeArchitecturesResponse()
        await _each("architectures", request.architectures, work, answer.encodings)
        return answer

    async def ListNeighbors(
        self, request: space_service_pb2.ListNeighborsRequest, context: Any
    ) -> space_service_pb2.ListNeighborsResponse:
        space, start = await self._space(request.source), _start("neighbors", request.page_token)
        size = _size(request.page_size)

        def work() -> list[architecture_pb2.Architecture]:
            found = space.neighbors(Architecture.from_proto(request.architecture))
            return [item.to_proto() for item in itertools.islice(found, start, start + size + 1)]

        taken = await _at("architecture", work)
        more = page_token("neighbors", start + size) if len(taken) > size else ""
        return space_service_pb2.ListNeighborsResponse(neighbors=taken[:size], next_page_token=more)

    async def GetGraph(
        self, request: space_service_pb2.GetGraphRequest, context: Any
    ) -> space_service_pb2.GetGraphResponse:
        space = await self._space(request.source)
        classes = request.classes if request.HasField("classes") else None

        def work() -> architecture_pb2.Graph:
            architecture = Architecture.from_proto(request.architecture)
            space.require(architecture)
            return space.graph(architecture, classes).to_proto()

        return space_service_pb2.GetGraphResponse(graph=await _at("architecture", work))

    async def EnumerateArchitectures(
        self, request: space_service_pb2.EnumerateArchitecturesRequest, context: Any
    ) -> space_service_pb2.EnumerateArchitecturesResponse:
        space, start = await self._space(request.source), _start("enumeration", request.page_token)
        size = _size(request.page_size)

        def work() -> tuple[list[architecture_pb2.Architecture], int]:
            found, index = [], start
            for index in range(start, min(start + _LOOKED_AT, space.size())):
                if (item := space.at(index)) is not None:
                    found.append(item.to_proto())
                if len(found) == size:
                    break
            return found, index + 1

        taken, after = await _at("", work)
        more = page_token("enumeration", after) if after < space.size() else ""
        return space_service_pb2.EnumerateArchitecturesResponse(architectures=taken, next_page_token=more)

    async def ListOperations(
        self, request: space_service_pb2.ListOperationsRequest, context: Any
    ) -> space_service_pb2.ListOperationsResponse:
        found = await asyncio.to_thread(all_operations)
        size = _size(request.page_size)
        kept, token = page("operations", found, lambda each: each.name, size, request.page_token)
        return space_service_pb2.ListOperationsResponse(operations=kept, next_page_token=token)

    async def _space(self, source: space_service_pb2.SpaceReference) -> Space:
        """Raises InvalidInput, with paths from the request's root, and NotFound."""
        kind = source.WhichOneof("source")
        if kind == "preset":
            return await _at("source", lambda: load_preset(source.preset))
        message = source.space
        if kind == "experiment":
            name = ExperimentName.parse(source.experiment, "source.experiment")
            found = await self._space_of(name)
            if found is None:
                raise NotFound(f"there is no experiment {name}")
            message = found
        return await _at("source.space", lambda: self._read(message))

    def _read(self, message: space_pb2.Space) -> Space:
        digest = hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
        with self._lock:
            if digest in self._kept:
                self._kept.move_to_end(digest)
                return self._kept[digest]
        space = Space.from_proto(message)
        with self._lock:
            self._kept[digest] = space
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return space


async def _at(path: str, work: Callable[[], T]) -> T:
    """Run in a thread; faults get the path of the field that they were found in."""
    try:
        return await asyncio.to_thread(work)
    except SpaceError as error:
        raise _moved(error, path) from None


async def _each(path: str, items: Sequence[S], work: Callable[[S], T], out: MutableSequence[T]) -> None:
    """Work on each item, in order, in a thread; a call that is cancelled ends within ``_AT_ONCE`` of them.

    The results go to ``out``, in the thread too: copying messages takes its time. Faults get the path of the
    item, or of nothing where the path is empty.
    """

    def some(start: int) -> None:
        for number, item in enumerate(items[start : start + _AT_ONCE], start):
            try:
                out.append(work(item))
            except SpaceError as error:
                raise _moved(error, f"{path}[{number}]" if path else "") from None

    for start in range(0, len(items), _AT_ONCE):
        await asyncio.to_thread(some, start)


def _moved(error: SpaceError, path: str) -> SpaceError:
    """The same faults, their paths below another."""
    return SpaceError(
        [
            Violation(".".join(part for part in (path, fault.field) if part), fault.message)
            for fault in error.violations
        ]
    )


def _start(kind: str, token: str) -> int:
    after = read_token(kind, token)
    if isinstance(after, str) or (after is not None and after < 0):
        raise InvalidInput([Violation("page_token", "is not one that this listing gave")])
    return after or 0


def _size(asked: int) -> int:
    return min(asked or _PAGE, _MOST)


def _describe(space: Space, with_space: bool) -> space_service_pb2.DescribeSpaceResponse:
    return space_service_pb2.DescribeSpaceResponse(
        digest=space.digest,
        size=digits(space.size()),
        continuous_decisions=len(space.continuous),
        decisions=list(_decisions(space)),
        vector_names=space.vector_names,
        space=space.to_proto() if with_space else None,
        constrained_size=_estimate(space.constrained_size) if space.tree.constraints else None,
    )


def _estimate(found: SizeEstimate) -> space_service_pb2.SizeEstimate:
    return space_service_pb2.SizeEstimate(
        size=digits(found.size),
        low=digits(found.low),
        high=digits(found.high),
        share=found.share,
        exact=found.exact,
    )


def _decisions(space: Space) -> Iterator[space_service_pb2.DecisionDescription]:
    for info in space.decisions():
        yield space_service_pb2.DecisionDescription(
            path=info.path,
            domain=write_domain(info.domain),
            alternatives=[
                space_service_pb2.DecisionConditions(
                    conditions=[
                        space_service_pb2.DecisionCondition(
                            path=path, values=[write_literal(v) for v in values]
                        )
                        for path, values in conditions
                    ]
                )
                for conditions in info.alternatives
            ],
        )
