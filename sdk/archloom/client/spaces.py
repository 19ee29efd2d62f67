"""The space tools of the server: what a strategy in another language calls, from Python.

Python programs rarely need them: `archloom.space` has the same tools without a server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from archloom.client.connection import Connection
from archloom.client.operations import OperationInfo
from archloom.errors import Violation
from archloom.space import Architecture, Space
from archloom.v1 import space_service_pb2 as pb
from archloom.v1 import space_service_pb2_grpc


class Spaces:
    """SpaceService. A space is given as a `Space` or by its preset's name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = space_service_pb2_grpc.SpaceServiceStub(connection.channel)

    def validate(self, space: Space | str) -> list[Violation]:
        request = pb.ValidateSpaceRequest(source=_reference(space))
        answer = self._connection.call(self._stub.ValidateSpace, request)
        return [Violation(each.path, each.message) for each in answer.violations]

    def size(self, space: Space | str) -> int:
        """Exact number of architectures over the discrete decisions."""
        request = pb.DescribeSpaceRequest(source=_reference(space))
        return int(Decimal(self._connection.call(self._stub.DescribeSpace, request).size))

    def sample(self, space: Space | str, count: int, seed: int) -> list[Architecture]:
        request = pb.SampleArchitecturesRequest(
            source=_reference(space), count=count, seed=seed, uniformity=pb.UNIFORMITY_DECISIONS
        )
        answer = self._connection.call(self._stub.SampleArchitectures, request)
        return [Architecture.from_proto(each) for each in answer.architectures]

    def mutate(self, space: Space | str, parents: Sequence[Architecture], seed: int) -> list[Architecture]:
        request = pb.MutateArchitecturesRequest(
            source=_reference(space), parents=[each.to_proto() for each in parents], seed=seed
        )
        answer = self._connection.call(self._stub.MutateArchitectures, request)
        return [Architecture.from_proto(each) for each in answer.architectures]

    def operations(self) -> Iterator[OperationInfo]:
        """What a layer may name on the server, by name."""
        request = pb.ListOperationsRequest()
        while True:
            answer = self._connection.call(self._stub.ListOperations, request)
            yield from map(OperationInfo.from_proto, answer.operations)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token


def _reference(space: Space | str) -> pb.SpaceReference:
    if isinstance(space, str):
        return pb.SpaceReference(preset=space)
    return pb.SpaceReference(space=space.to_proto())
