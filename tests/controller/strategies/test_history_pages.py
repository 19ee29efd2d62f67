"""A long log goes to a cold plugin in pages that any gRPC implementation takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from archloom.v1 import strategy_pb2
from archloom_controller.interfaces import StrategyFailed
from archloom_controller.strategies.gateway import Gateway
from grpc_refusals import until
from scripted_strategy import ScriptedStrategy, answering

LENGTH = 6000
LIMIT = 4 * 1024 * 1024
REQUEST = strategy_pb2.ProposeRequest(
    experiment="projects/p/experiments/e",
    experiment_uid="uid",
    spec=strategy_pb2.SearchSpec(revision=1),
    step=3,
    history_sequence=LENGTH,
    count=2,
)


class Context:
    """A log of some 18 MiB; counts how often it is read."""

    def __init__(self) -> None:
        self.read = 0

    async def spec(self) -> strategy_pb2.SearchSpec:
        return strategy_pb2.SearchSpec(revision=1, space_digest="whole")

    async def state(self, digest: str) -> bytes:
        raise AssertionError

    async def history(self, from_sequence: int, to_sequence: int) -> list[strategy_pb2.Observation]:
        self.read += 1
        numbers = range(from_sequence + 1, to_sequence + 1)
        return [strategy_pb2.Observation(sequence=number, reason="x" * 3000) for number in numbers]


class Replica:
    """Keeps what it was told, as StrategyRuntime does."""

    def __init__(self) -> None:
        self.known: list[int] = []
        self.until = 0

    def propose(self, request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        if request.HasField("history_after") and request.history_after <= self.until:
            told = [seen.sequence for seen in request.history]
            self.known = [number for number in self.known if number <= request.history_after] + told
            page = request.HasField("history_until")
            self.until = request.history_until if page else request.history_sequence
        if self.until < request.history_sequence:
            return answering(request, need_history=strategy_pb2.NeedHistory(from_sequence=self.until))
        return answering(request)


async def gateway_to(make_gateway: Callable[..., Awaitable[Gateway]], plugin: ScriptedStrategy) -> Gateway:
    gateway = await make_gateway(plugin.address)

    async def reachable() -> bool:
        return gateway.reachable("scripted")

    await until(reachable, "the plugin to serve")
    return gateway


@pytest.fixture
async def plugin() -> AsyncIterator[ScriptedStrategy]:
    running = await ScriptedStrategy().start()
    yield running
    await running.stop()


async def test_pages_follow_each_other_and_fit_into_a_message(
    make_gateway: Callable[..., Awaitable[Gateway]], plugin: ScriptedStrategy
) -> None:
    replica, context, sizes = Replica(), Context(), []

    async def propose(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        sizes.append(request.ByteSize())
        return replica.propose(request)

    plugin.answer = propose
    gateway = await gateway_to(make_gateway, plugin)
    answer = await gateway.propose("scripted", REQUEST, context)
    assert answer.WhichOneof("answer") == "wait"
    assert replica.known == list(range(1, LENGTH + 1))
    assert max(sizes) < LIMIT < sum(sizes)
    assert context.read == 1


async def test_replicas_that_take_turns_get_the_rest_at_once(
    make_gateway: Callable[..., Awaitable[Gateway]], plugin: ScriptedStrategy
) -> None:
    replicas, asked = [Replica(), Replica()], 0

    async def propose(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        nonlocal asked
        asked += 1
        return replicas[asked % 2].propose(request)

    plugin.answer = propose
    gateway = await gateway_to(make_gateway, plugin)
    answer = await gateway.propose("scripted", REQUEST, Context())
    assert answer.WhichOneof("answer") == "wait"
    assert asked < 10


@pytest.mark.parametrize("start", [0, LENGTH])
async def test_a_plugin_that_asks_for_ever_fails(
    make_gateway: Callable[..., Awaitable[Gateway]], plugin: ScriptedStrategy, start: int
) -> None:
    asked = 0

    async def greedy(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        nonlocal asked
        asked += 1
        return answering(request, need_history=strategy_pb2.NeedHistory(from_sequence=start))

    plugin.answer = greedy
    gateway = await gateway_to(make_gateway, plugin)
    with pytest.raises(StrategyFailed, match="asked for spec, state or history"):
        await gateway.propose("scripted", REQUEST, Context())
    assert asked < 20
