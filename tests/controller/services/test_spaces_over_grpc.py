"""SpaceService answers as the space itself does, for any language."""

from __future__ import annotations

from random import Random
from threading import get_ident
from typing import Any

import grpc
import pytest
from archloom.space import Architecture, Space, load_preset
from archloom.v1 import space_pb2, space_service_pb2, space_service_pb2_grpc
from archloom_controller.rpc.rules import Rules
from archloom_controller.services.spaces import SpaceServicer
from grpc_refusals import refusal_of

SPACE = load_preset("nasbench201")
PRESET = space_service_pb2.SpaceReference(preset="nasbench201")
SMALL = Space.from_yaml(
    """
input: {x: {kind: image, shape: [1, 8, 8]}}
body:
  sequence:
    - {name: a, layer: conv, k: {choice: [1, 3]}, out: {choice: [4, 8, 12]}}
    - {name: b, layer: relu}
constraints: ["params <= 80"]
"""
)


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Any:
    return space_service_pb2_grpc.SpaceServiceStub(channel)


def values(messages: Any) -> list[Architecture]:
    return [Architecture.from_proto(message) for message in messages]


async def test_a_space_is_described(stub: Any) -> None:
    told = await stub.DescribeSpace(space_service_pb2.DescribeSpaceRequest(source=PRESET))
    assert (told.digest, told.size, told.continuous_decisions) == (SPACE.digest, "15625", 0)
    assert [each.path for each in told.decisions] == [each.path for each in SPACE.decisions()]
    assert tuple(told.vector_names) == SPACE.vector_names
    assert Space.from_proto(told.space) == SPACE


CHANCES = {"choice": [number / 1000 for number in range(1, 101)]}


async def test_a_size_of_thousands_of_digits_is_told(stub: Any) -> None:
    big = Space.from_dict(
        {
            "input": {"x": {"kind": "vector", "shape": [4]}},
            "body": {
                "repeat": {
                    "count": 900,
                    "decisions": "free",
                    "body": {"sequence": [{"layer": "dropout", "p": CHANCES} for _ in range(3)]},
                }
            },
        }
    )
    assert big.size() == 100**2700
    assert "1.00e5400 architectures" in repr(big)
    source = space_service_pb2.SpaceReference(space=big.to_proto())
    told = await stub.DescribeSpace(space_service_pb2.DescribeSpaceRequest(source=source))
    assert told.size == "1" + "0" * 5400


async def test_what_constraints_leave_is_told(stub: Any) -> None:
    source = space_service_pb2.SpaceReference(space=SMALL.to_proto())
    told = await stub.DescribeSpace(space_service_pb2.DescribeSpaceRequest(source=source))
    kept = len(list(SMALL.enumerate()))
    assert 0 < kept < SMALL.size() == 6
    left = told.constrained_size
    assert (left.size, left.low, left.high, left.exact) == (str(kept), str(kept), str(kept), True)
    assert left.share == kept / 6
    whole = await stub.DescribeSpace(space_service_pb2.DescribeSpaceRequest(source=PRESET))
    assert not whole.HasField("constrained_size")


async def test_a_batch_of_a_thousand_is_worked_on_beside_the_event_loop(
    stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    for name in ("sample", "mutate"):
        method = getattr(Space, name)

        def noted(*given: Any, method: Any = method) -> Architecture:
            threads.add(get_ident())
            return method(*given)

        monkeypatch.setattr(Space, name, noted)
    request = space_service_pb2.SampleArchitecturesRequest(source=PRESET, count=1000, seed=1)
    parents = (await stub.SampleArchitectures(request)).architectures
    assert len(parents) == 1000
    ask = space_service_pb2.MutateArchitecturesRequest(source=PRESET, parents=parents, seed=1)
    children = (await stub.MutateArchitectures(ask)).architectures
    assert len(children) == 1000
    assert all(child != parent for child, parent in zip(children, parents, strict=True))
    assert threads
    assert get_ident() not in threads


async def test_samples_follow_from_the_seed(stub: Any) -> None:
    def asked(seed: int) -> space_service_pb2.SampleArchitecturesRequest:
        return space_service_pb2.SampleArchitecturesRequest(source=PRESET, count=20, seed=seed)

    first, again = await stub.SampleArchitectures(asked(7)), await stub.SampleArchitectures(asked(7))
    other = await stub.SampleArchitectures(asked(8))
    rng = Random(7)
    assert values(first.architectures) == [SPACE.sample(rng) for _ in range(20)]
    assert first == again
    assert first != other


async def test_children_are_valid_and_differ(stub: Any) -> None:
    rng = Random(1)
    parents = [SPACE.sample(rng) for _ in range(5)]
    request = space_service_pb2.MutateArchitecturesRequest(source=PRESET, seed=3)
    request.parents.extend(parent.to_proto() for parent in parents)
    children = values((await stub.MutateArchitectures(request)).architectures)
    assert all(child != parent for child, parent in zip(children, parents, strict=True))
    assert not [fault for child in children for fault in SPACE.check(child)]
    pair = space_service_pb2.ArchitecturePair(first=parents[0].to_proto(), second=parents[1].to_proto())
    crossed = await stub.CrossArchitectures(
        space_service_pb2.CrossArchitecturesRequest(source=PRESET, pairs=[pair], seed=3)
    )
    child = values(crossed.architectures)[0]
    assert all(value in (parents[0][path], parents[1][path]) for path, value in child.decisions.items())


async def test_encodings_and_graphs_are_the_spaces_own(stub: Any) -> None:
    architecture = SPACE.sample(Random(2))
    for kind, name in (("VECTOR", "vector"), ("PATH", "path"), ("GRAPH", "graph")):
        request = space_service_pb2.EncodeArchitecturesRequest(
            source=PRESET,
            architectures=[architecture.to_proto()],
            encoding=space_service_pb2.ArchitectureEncoding.Value(f"ARCHITECTURE_ENCODING_{kind}"),
        )
        row = (await stub.EncodeArchitectures(request)).encodings[0].values
        assert tuple(row) == SPACE.encode(architecture, name)  # type: ignore[arg-type]
    asked = space_service_pb2.GetGraphRequest(source=PRESET, architecture=architecture.to_proto(), classes=10)
    graph = (await stub.GetGraph(asked)).graph
    own = SPACE.graph(architecture, 10)
    assert (graph.hash, graph.parameters, graph.flops) == (own.hash, own.parameters, own.flops)


async def test_pages_join_to_the_whole(stub: Any) -> None:
    source = space_service_pb2.SpaceReference(space=SMALL.to_proto())
    found, token = [], ""
    while True:
        request = space_service_pb2.EnumerateArchitecturesRequest(
            source=source, page_size=2, page_token=token
        )
        page = await stub.EnumerateArchitectures(request)
        assert len(page.architectures) <= 2
        found += values(page.architectures)
        token = page.next_page_token
        if not token:
            break
    assert found == list(SMALL.enumerate())
    assert 0 < len(found) < SMALL.size()
    architecture = SPACE.sample(Random(4))
    near, token = [], ""
    while True:
        asked = space_service_pb2.ListNeighborsRequest(
            source=PRESET, architecture=architecture.to_proto(), page_size=10, page_token=token
        )
        answer = await stub.ListNeighbors(asked)
        near += values(answer.neighbors)
        token = answer.next_page_token
        if not token:
            break
    assert near == list(SPACE.neighbors(architecture))


async def test_faults_of_a_space_are_an_answer(stub: Any) -> None:
    message = SMALL.to_proto()
    fine = await stub.ValidateSpace(
        space_service_pb2.ValidateSpaceRequest(source=space_service_pb2.SpaceReference(space=message))
    )
    assert (fine.digest, len(fine.violations)) == (SMALL.digest, 0)
    message.body.sequence.nodes[0].layer.operation.literal.text = "convv"
    faulty = await stub.ValidateSpace(
        space_service_pb2.ValidateSpaceRequest(source=space_service_pb2.SpaceReference(space=message))
    )
    assert faulty.digest == ""
    assert "body.sequence[0]" in faulty.violations[0].path
    del message.inputs[:]
    broken = await stub.ValidateSpace(
        space_service_pb2.ValidateSpaceRequest(source=space_service_pb2.SpaceReference(space=message))
    )
    assert "inputs" in [each.path for each in broken.violations]


async def test_faults_of_a_request_have_its_paths(stub: Any) -> None:
    unknown = space_service_pb2.DescribeSpaceRequest(
        source=space_service_pb2.SpaceReference(preset="nasbench20")
    )
    refused = await refusal_of(stub.DescribeSpace(unknown))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "did you mean 'nasbench201'" in refused.violations["source.preset"]
    stranger = space_service_pb2.MutateArchitecturesRequest(source=PRESET)
    stranger.parents.append(SPACE.sample(Random(0)).to_proto())
    stranger.parents.append(SMALL.sample(Random(0)).to_proto())
    refused = await refusal_of(stub.MutateArchitectures(stranger))
    assert all(field.startswith("parents[1].") for field in refused.violations)
    many = space_service_pb2.SampleArchitecturesRequest(source=PRESET, count=1001)
    assert "count" in (await refusal_of(stub.SampleArchitectures(many))).violations
    token = space_service_pb2.EnumerateArchitecturesRequest(source=PRESET, page_token="made up")
    assert "page_token" in (await refusal_of(stub.EnumerateArchitectures(token))).violations
    nobody = space_service_pb2.SpaceReference(experiment="projects/p/experiments/e")
    refused = await refusal_of(stub.DescribeSpace(space_service_pb2.DescribeSpaceRequest(source=nobody)))
    assert refused.code is grpc.StatusCode.NOT_FOUND


async def test_the_space_of_an_experiment_is_read_by_name() -> None:
    async def space_of(name: Any) -> space_pb2.Space | None:
        return SMALL.to_proto() if str(name) == "projects/p/experiments/e" else None

    servicer = SpaceServicer(space_of, Rules())
    source = space_service_pb2.SpaceReference(experiment="projects/p/experiments/e")
    told = await servicer.DescribeSpace(space_service_pb2.DescribeSpaceRequest(source=source), None)
    assert told.digest == SMALL.digest
