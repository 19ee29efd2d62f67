"""The gateway: plugins that come, go, lie and hang, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from archloom.errors import Unavailable, Violation, WrongState
from archloom.v1 import common_pb2, strategy_pb2
from archloom_controller.interfaces import StrategyFailed, StrategyUnreachable
from archloom_controller.strategies.gateway import Gateway, allows
from grpc_refusals import until
from prometheus_client import CollectorRegistry
from scripted_strategy import ScriptedStrategy, answering

MakeGateway = Callable[..., Awaitable[Gateway]]
STATE = b"what it remembers"
REQUEST = strategy_pb2.ProposeRequest(
    experiment="projects/p/experiments/e",
    experiment_uid="uid",
    spec=strategy_pb2.SearchSpec(revision=1),
    step=3,
    seed=5,
    history_sequence=9,
    count=2,
)
REQUEST.state.digest = hashlib.sha256(STATE).hexdigest()


class Context:
    """What the engine would tell a cold replica."""

    async def spec(self) -> strategy_pb2.SearchSpec:
        return strategy_pb2.SearchSpec(revision=1, space_digest="whole")

    async def state(self, digest: str) -> bytes:
        assert digest == REQUEST.state.digest
        return STATE

    async def history(self, from_sequence: int, to_sequence: int) -> list[strategy_pb2.Observation]:
        return [strategy_pb2.Observation(sequence=n) for n in range(from_sequence + 1, to_sequence + 1)]


@pytest.fixture
async def plugin() -> AsyncIterator[ScriptedStrategy]:
    running = await ScriptedStrategy().start()
    yield running
    await running.stop()


async def serving(gateway: Gateway, name: str = "scripted") -> None:
    async def reachable() -> bool:
        return gateway.reachable(name)

    await until(reachable, f"{name} to serve")


async def gone(gateway: Gateway, name: str = "scripted") -> None:
    async def unreachable() -> bool:
        return not gateway.reachable(name)

    await until(unreachable, f"{name} to be gone")


@pytest.fixture
async def gateway(make_gateway: MakeGateway, plugin: ScriptedStrategy) -> Gateway:
    made = await make_gateway(plugin.address)
    await serving(made)
    return made


async def propose(gateway: Gateway, name: str = "scripted") -> strategy_pb2.ProposeResponse:
    return await gateway.propose(name, REQUEST, Context())


async def test_a_plugin_is_described_and_asked(gateway: Gateway, plugin: ScriptedStrategy) -> None:
    described = await gateway.describe("scripted")
    assert described == plugin.description
    assert gateway.names() == ["scripted"]
    answer = await propose(gateway)
    assert answer.WhichOneof("answer") == "wait"
    assert plugin.asked[0].seed == 5


async def test_its_own_faults_of_a_spec_are_passed_on(gateway: Gateway, plugin: ScriptedStrategy) -> None:
    plugin.faults = [strategy_pb2.SettingViolation(field="settings.population", description="is too small")]
    found = await gateway.validate("scripted", strategy_pb2.SearchSpec())
    assert found == [Violation("settings.population", "is too small")]


async def test_the_whole_spec_goes_once_to_a_connection(gateway: Gateway, plugin: ScriptedStrategy) -> None:
    await propose(gateway)
    await propose(gateway)
    assert [asked.spec.space_digest for asked in plugin.asked] == ["whole", ""]


async def test_a_cold_replica_gets_spec_state_and_history(gateway: Gateway, plugin: ScriptedStrategy) -> None:
    await propose(gateway)
    plugin.asked.clear()

    async def cold(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        if not request.spec.space_digest:
            return answering(request, need_spec=strategy_pb2.NeedSpec())
        if not request.state.inline:
            return answering(request, need_state=strategy_pb2.NeedState())
        if not request.HasField("history_after"):
            return answering(request, need_history=strategy_pb2.NeedHistory(from_sequence=6))
        return answering(request)

    plugin.answer = cold
    assert (await propose(gateway)).WhichOneof("answer") == "wait"
    last = plugin.asked[-1]
    assert len(plugin.asked) == 4
    assert (last.spec.space_digest, last.state.data, last.history_after) == ("whole", STATE, 6)
    assert [each.sequence for each in last.history] == [7, 8, 9]


async def test_a_plugin_that_asks_for_a_state_where_there_is_none_fails(
    gateway: Gateway, plugin: ScriptedStrategy
) -> None:
    async def forgetful(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        return answering(request, need_state=strategy_pb2.NeedState())

    plugin.answer = forgetful
    first = strategy_pb2.ProposeRequest()
    first.CopyFrom(REQUEST)
    first.ClearField("state")
    with pytest.raises(StrategyFailed, match="asked for a state where there is none"):
        await gateway.propose("scripted", first, Context())


async def test_a_plugin_that_never_has_enough_fails(gateway: Gateway, plugin: ScriptedStrategy) -> None:
    async def greedy(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        return answering(request, need_state=strategy_pb2.NeedState())

    plugin.answer = greedy
    with pytest.raises(StrategyFailed, match="asked for spec, state or history"):
        await propose(gateway)
    assert len(plugin.asked) < 20


def proposals(count: int) -> strategy_pb2.Proposals:
    made = strategy_pb2.Proposals()
    for _ in range(count):
        made.proposals.add().architecture.decisions.add(path="a", integer=1)
    return made


def endless() -> strategy_pb2.Proposals:
    made = proposals(1)
    made.proposals[0].architecture.decisions[0].path = "x" * 300_000
    return made


def infinite() -> strategy_pb2.Proposals:
    made = strategy_pb2.Proposals()
    made.proposals.add().architecture.decisions.add(path="lr", number=float("inf"))
    return made


def unsettled() -> strategy_pb2.Proposals:
    made = strategy_pb2.Proposals()
    made.proposals.add().supernet.settings["x"] = float("nan")
    return made


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"experiment": "projects/p/experiments/other"}, "was not asked about"),
        ({"step": 4}, "was not asked for"),
        ({"proposals": proposals(3)}, "at most 2 were wanted"),
        ({"proposals": endless()}, r"proposals\[0\].architecture"),
        ({"proposals": infinite()}, "must be finite"),
        ({"proposals": unsettled()}, "must be a finite number"),
        ({"diagnostics": [common_pb2.MetricValue(name="x", value=float("nan"))]}, "must be finite"),
        ({"state": strategy_pb2.StrategyState(data=b"x", digest="0" * 64, inline=True)}, "not the sha256"),
        ({"state": strategy_pb2.StrategyState(digest="0" * 64)}, "must be inline"),
        ({"state": strategy_pb2.StrategyState(data=b"x" * 3145729, inline=True)}, "state.data"),
        ({"state": strategy_pb2.StrategyState(data=b"x" * 9000000, inline=True)}, "RESOURCE_EXHAUSTED"),
    ],
)
async def test_a_malformed_answer_voids_the_step(
    gateway: Gateway, plugin: ScriptedStrategy, fields: dict[str, Any], said: str
) -> None:
    async def lie(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response = answering(request)
        for name in fields:
            response.ClearField(name)  # type: ignore[arg-type]
        response.MergeFrom(strategy_pb2.ProposeResponse(**fields))
        return response

    plugin.answer = lie
    with pytest.raises(StrategyFailed, match=said):
        await propose(gateway)


async def test_an_answer_without_answer_is_malformed(gateway: Gateway, plugin: ScriptedStrategy) -> None:
    async def say_nothing(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        return strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step)

    plugin.answer = say_nothing
    with pytest.raises(StrategyFailed, match="answer"):
        await propose(gateway)


async def test_a_states_digest_may_be_left_to_the_gateway(gateway: Gateway, plugin: ScriptedStrategy) -> None:
    async def remember(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        return answering(request, state=strategy_pb2.StrategyState(data=STATE, inline=True))

    plugin.answer = remember
    assert (await propose(gateway)).state.digest == hashlib.sha256(STATE).hexdigest()


async def test_a_plugin_that_raises_or_hangs_fails(
    make_gateway: MakeGateway, plugin: ScriptedStrategy
) -> None:
    gateway = await make_gateway(plugin.address, propose_seconds=0.3)
    await serving(gateway)

    async def hang(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def stumble(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        raise ZeroDivisionError("division by zero")

    plugin.answer = hang
    with pytest.raises(StrategyFailed, match=r"did not answer within 0\.3 s"):
        await propose(gateway)
    plugin.answer = stumble
    with pytest.raises(StrategyFailed, match="division by zero"):
        await propose(gateway)


async def test_a_plugin_that_dies_is_unreachable_and_comes_back_changed(
    gateway: Gateway, plugin: ScriptedStrategy, figures: CollectorRegistry
) -> None:
    reached = asyncio.Event()

    async def hang(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    plugin.answer = hang
    asking = asyncio.create_task(propose(gateway))
    await reached.wait()
    await plugin.stop()
    with pytest.raises(StrategyUnreachable):
        await asking
    await gone(gateway)
    with pytest.raises(StrategyUnreachable, match="nothing answers"):
        await propose(gateway)
    assert (await gateway.describe("scripted")) is not None
    plugin.description.version = "2"
    plugin.answer = plugin._wait
    await plugin.start()
    await serving(gateway)
    described = await gateway.describe("scripted")
    assert described is not None
    assert described.version == "2"
    await propose(gateway)
    labels = {"strategy": "scripted", "outcome": "unreachable"}
    assert figures.get_sample_value("archloom_propose_seconds_count", labels) == 2


async def test_of_two_replicas_of_a_strategy_the_living_one_answers(
    make_gateway: MakeGateway, plugin: ScriptedStrategy
) -> None:
    second = await ScriptedStrategy().start()
    gateway = await make_gateway(plugin.address, second.address)

    async def both() -> bool:
        return sum(each.serving for each in gateway.plugins()) == 2

    await until(both, "both to serve")
    await plugin.stop()
    await propose(gateway)
    assert len(second.asked) == 1
    await second.stop()


async def test_an_unknown_strategy_is_unreachable(gateway: Gateway) -> None:
    assert await gateway.describe("nobody") is None
    assert not gateway.reachable("nobody")
    with pytest.raises(StrategyUnreachable, match="no plugin of that name"):
        await propose(gateway, "nobody")


async def test_a_plugin_that_misdescribes_itself_never_serves(make_gateway: MakeGateway) -> None:
    plugin = await ScriptedStrategy(name="Not A Name").start()
    gateway = await make_gateway(plugin.address)

    async def told() -> bool:
        return any("describes itself wrongly" in each.problem for each in gateway.plugins())

    await until(told, "the problem to be told")
    assert gateway.names() == []
    await plugin.stop()


async def test_registering_dials_on_every_replica_until_it_is_undone(
    make_gateway: MakeGateway, plugin: ScriptedStrategy
) -> None:
    one, other = await make_gateway("127.0.0.1:*"), await make_gateway("127.0.0.1:*")
    await one.register(plugin.address)
    await serving(other)
    later = await make_gateway("127.0.0.1:*")
    await serving(later)
    assert await other.unregister("scripted")
    await gone(one)
    assert not await other.unregister("scripted")


async def test_only_allowed_addresses_that_answer_are_registered(
    make_gateway: MakeGateway, plugin: ScriptedStrategy
) -> None:
    gateway = await make_gateway("127.0.0.1:1")
    with pytest.raises(WrongState, match="not an address the operator allows") as caught:
        await gateway.register(plugin.address)
    assert caught.value.reason == "ADDRESS_NOT_ALLOWED"
    with pytest.raises(Unavailable):
        await gateway.register("127.0.0.1:1")


async def test_what_the_operator_named_is_not_unregistered(gateway: Gateway) -> None:
    with pytest.raises(WrongState, match="ARCHLOOM_STRATEGIES"):
        await gateway.unregister("scripted")


@pytest.mark.parametrize(
    ("pattern", "address", "fits"),
    [
        ("host:1", "host:1", True),
        ("host:1", "host:2", False),
        ("host:*", "host:65000", True),
        ("host:*", "hosts:1", False),
        ("*:7000", "anything:7000", True),
        ("*:7000", "anything:7001", False),
        ("host:*", "host", False),
        ("host:*", "evil@host:x", False),
    ],
)
def test_the_allow_list(pattern: str, address: str, fits: bool) -> None:
    assert allows([pattern], address) is fits


async def test_a_channel_closes_with_its_gateway(make_gateway: MakeGateway, plugin: ScriptedStrategy) -> None:
    gateway = await make_gateway(plugin.address)
    await serving(gateway)
    await gateway.stop()
    with pytest.raises((StrategyUnreachable, grpc.aio.UsageError)):
        await propose(gateway)
