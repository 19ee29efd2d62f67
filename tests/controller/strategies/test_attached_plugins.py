"""Plugins that call in: asked over their stream, lost with it, back with another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from archloom.v1 import registry_pb2, registry_pb2_grpc, strategy_pb2, strategy_pb2_grpc
from archloom_controller.interfaces import StrategyFailed, StrategyUnreachable
from archloom_controller.metrics import Metrics
from archloom_controller.registry import RegistryStore
from archloom_controller.rpc.caller import Gate
from archloom_controller.rpc.interceptor import Edge
from archloom_controller.rpc.rules import Rules
from archloom_controller.server import Controller
from archloom_controller.strategies.gateway import Gateway
from archloom_controller.strategies.host import StrategyHostServicer
from grpc_refusals import refusal_of, until
from prometheus_client import CollectorRegistry
from pymongo.asynchronous.database import AsyncDatabase
from scripted_strategy import ScriptedStrategy, answering

HELLO = strategy_pb2.StrategyDescription(name="notebook", version="3", build="b")
REQUEST = strategy_pb2.ProposeRequest(
    experiment="projects/p/experiments/e", spec=strategy_pb2.SearchSpec(revision=1), step=1, count=1
)


class Context:
    async def spec(self) -> strategy_pb2.SearchSpec:
        return strategy_pb2.SearchSpec(revision=1)

    async def state(self, digest: str) -> bytes:
        raise KeyError(digest)

    async def history(self, from_sequence: int, to_sequence: int) -> list[strategy_pb2.Observation]:
        return []


class Notebook:
    """The plugin's end of the stream."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.call: Any = strategy_pb2_grpc.StrategyHostServiceStub(channel).Attach()

    async def hello(self, description: strategy_pb2.StrategyDescription = HELLO) -> str:
        await self.call.write(strategy_pb2.AttachRequest(hello=description))
        return (await self.call.read()).attached

    async def asked(self) -> strategy_pb2.AttachResponse:
        return await self.call.read()

    async def answer(self, call: int, **outcome: Any) -> None:
        answer = strategy_pb2.AttachAnswer(call=call, **outcome)
        await self.call.write(strategy_pb2.AttachRequest(answer=answer))


class Hosted:
    """A server with StrategyHostService alone, and the gateway behind it."""

    def __init__(self, gateway: Gateway, channel: grpc.aio.Channel) -> None:
        self.gateway = gateway
        self.channel = channel

    def propose(self) -> asyncio.Task[strategy_pb2.ProposeResponse]:
        return asyncio.create_task(self.gateway.propose("notebook", REQUEST, Context()))

    async def gone(self) -> None:
        async def unreachable() -> bool:
            return not self.gateway.reachable("notebook")

        await until(unreachable, "the plugin to be gone")


@pytest.fixture
async def hosted(database: AsyncDatabase[dict[str, Any]]) -> AsyncIterator[Hosted]:
    rules, metrics, loop = Rules(), Metrics(CollectorRegistry()), asyncio.get_running_loop()
    plugin = await ScriptedStrategy(name="dialled").start()
    gateway = Gateway(RegistryStore(database), rules, metrics, loop.time, [plugin.address], 20.0)
    await gateway.start()
    host = StrategyHostServicer(gateway, rules)
    server = grpc.aio.server(interceptors=[Edge(Gate(), rules, metrics, loop.time)])
    strategy_pb2_grpc.add_StrategyHostServiceServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Hosted(gateway, channel)
    host.close()
    await server.stop(None)
    await gateway.stop()
    await plugin.stop()


async def test_an_attached_plugin_is_asked_over_its_stream(hosted: Hosted) -> None:
    notebook = Notebook(hosted.channel)
    assert await notebook.hello() == "strategies/notebook"
    assert hosted.gateway.reachable("notebook")
    assert await hosted.gateway.describe("notebook") == HELLO
    proposing = hosted.propose()
    asked = await notebook.asked()
    assert asked.propose.experiment == REQUEST.experiment
    await notebook.answer(asked.call, propose=answering(asked.propose))
    assert (await proposing).WhichOneof("answer") == "wait"
    validating = asyncio.create_task(hosted.gateway.validate("notebook", strategy_pb2.SearchSpec()))
    asked = await notebook.asked()
    await notebook.answer(asked.call, validate=strategy_pb2.ValidateStrategyResponse())
    assert await validating == []


async def test_answers_may_come_in_any_order(hosted: Hosted) -> None:
    notebook = Notebook(hosted.channel)
    await notebook.hello()
    first, second = hosted.propose(), hosted.propose()
    calls = [await notebook.asked(), await notebook.asked()]
    for asked, bound in reversed(list(zip(calls, ("a", "b"), strict=True))):
        response = answering(asked.propose)
        response.diagnostics.add(name=bound, value=1.0)
        await notebook.answer(asked.call, propose=response)
    assert {(await task).diagnostics[0].name for task in (first, second)} == {"a", "b"}


async def test_a_lost_stream_makes_the_plugin_unreachable_at_once(hosted: Hosted) -> None:
    notebook = Notebook(hosted.channel)
    await notebook.hello()
    proposing = hosted.propose()
    await notebook.asked()
    notebook.call.cancel()
    with pytest.raises(StrategyUnreachable):
        await proposing
    await hosted.gone()
    with pytest.raises(StrategyUnreachable):
        await hosted.propose()
    # It is known still, so that experiments that use it wait rather than fail.
    assert await hosted.gateway.describe("notebook") == HELLO
    again = Notebook(hosted.channel)
    await again.hello()
    assert hosted.gateway.reachable("notebook")


async def test_a_plugin_that_hangs_up_orderly_is_gone_too(hosted: Hosted) -> None:
    notebook = Notebook(hosted.channel)
    await notebook.hello()
    await notebook.call.done_writing()
    assert await notebook.call.read() is grpc.aio.EOF
    await hosted.gone()


async def test_the_newest_of_two_with_one_name_is_asked(hosted: Hosted) -> None:
    old, new = Notebook(hosted.channel), Notebook(hosted.channel)
    await old.hello()
    await new.hello()
    assert await old.call.read() is grpc.aio.EOF
    proposing = hosted.propose()
    asked = await new.asked()
    await new.answer(asked.call, propose=answering(asked.propose))
    assert (await proposing).WhichOneof("answer") == "wait"


async def test_its_exception_and_its_nonsense_fail_the_step_and_not_the_stream(hosted: Hosted) -> None:
    notebook = Notebook(hosted.channel)
    await notebook.hello()
    broken = strategy_pb2.ProposeResponse(experiment=REQUEST.experiment, step=1)
    broken.diagnostics.add(name="x", value=float("nan"))
    broken.wait.SetInParent()
    outcomes: list[tuple[dict[str, Any], str]] = [
        ({"error": "ValueError: no"}, "ValueError: no"),
        ({"validate": strategy_pb2.ValidateStrategyResponse()}, "answered validate where propose"),
        ({"propose": broken}, "must be finite"),
        ({}, "answered nothing"),
    ]
    for outcome, said in outcomes:
        proposing = hosted.propose()
        asked = await notebook.asked()
        await notebook.answer(asked.call, **outcome)
        with pytest.raises(StrategyFailed, match=said):
            await proposing
    await notebook.answer(99, error="nobody asked")
    assert hosted.gateway.reachable("notebook")


async def test_hello_comes_first_and_once_and_keeps_the_rules(hosted: Hosted) -> None:
    silent = Notebook(hosted.channel)
    await silent.answer(1, error="x")
    assert "hello" in (await refusal_of(silent.call.read())).violations
    nameless = Notebook(hosted.channel)
    await nameless.call.write(
        strategy_pb2.AttachRequest(hello=strategy_pb2.StrategyDescription(name="Not A Name"))
    )
    assert "hello.name" in (await refusal_of(nameless.call.read())).violations
    twice = Notebook(hosted.channel)
    await twice.hello()
    await twice.call.write(strategy_pb2.AttachRequest(hello=HELLO))
    assert await twice.call.read() is grpc.aio.EOF
    await hosted.gone()


async def test_the_name_of_a_dialled_plugin_is_not_taken(hosted: Hosted) -> None:
    async def serving() -> bool:
        return hosted.gateway.reachable("dialled")

    await until(serving, "the dialled plugin")
    usurper = Notebook(hosted.channel)
    await usurper.call.write(
        strategy_pb2.AttachRequest(hello=strategy_pb2.StrategyDescription(name="dialled", version="1"))
    )
    refused = await refusal_of(usurper.call.read())
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_the_controller_lists_what_is_attached_and_lets_go_when_it_stops(settings: Any) -> None:
    controller = Controller(settings)
    await controller.start()
    async with grpc.aio.insecure_channel(controller.address) as channel:
        notebook = Notebook(channel)
        await notebook.hello()
        registry: Any = registry_pb2_grpc.RegistryServiceStub(channel)
        listed = await registry.ListStrategies(registry_pb2.ListStrategiesRequest())
        assert [(each.name, each.serving, each.address) for each in listed.strategies] == [
            ("strategies/notebook", True, "")
        ]
        await asyncio.wait_for(controller.stop(), 60)
        assert await notebook.call.read() is grpc.aio.EOF
