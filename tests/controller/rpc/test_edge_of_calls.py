"""What a call goes through before and after its handler, over a real socket."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from archloom import errors
from archloom.v1 import experiment_pb2, experiment_pb2_grpc
from archloom_controller.interfaces import principal
from archloom_controller.metrics import Metrics
from archloom_controller.rpc.caller import Gate, current_caller
from archloom_controller.rpc.interceptor import Edge
from archloom_controller.rpc.rules import Rules
from google.protobuf.message import Message
from grpc_refusals import refusal_of, until
from prometheus_client import CollectorRegistry
from pymongo.errors import AutoReconnect

NAME = "projects/p/experiments/e"
GET = experiment_pb2.GetExperimentRequest(name=NAME)
PAUSE = experiment_pb2.PauseExperimentRequest(name=NAME)
WATCH = experiment_pb2.WatchExperimentRequest(name=NAME)

Body = Callable[[Any], Awaitable[Any]]


class Scripted(experiment_pb2_grpc.ExperimentServiceServicer):
    """Does what the test puts into ``body``."""

    def __init__(self) -> None:
        self.body: Body = self._answer
        self.seen: list[Message] = []

    async def _answer(self, request: Any) -> Any:
        return experiment_pb2.GetExperimentResponse()

    async def GetExperiment(self, request: Any, context: Any) -> Any:
        self.seen.append(request)
        return await self.body(request)

    async def PauseExperiment(self, request: Any, context: Any) -> Any:
        self.seen.append(request)
        return await self.body(request)

    async def ValidateExperiment(self, request: Any, context: Any) -> Any:
        self.seen.append(request)
        return experiment_pb2.ValidateExperimentResponse()

    async def WatchExperiment(self, request: Any, context: Any) -> Any:
        self.seen.append(request)
        yield experiment_pb2.WatchExperimentResponse(resume_token="first")
        await self.body(request)


@dataclass
class Served:
    servicer: Scripted
    edge: Edge
    registry: CollectorRegistry
    stub: Any
    channel: grpc.aio.Channel
    ticks: Any = field(default_factory=itertools.count)

    def measured(self, method: str, code: str) -> float | None:
        labels = {"method": f"ExperimentService/{method}", "code": code}
        return self.registry.get_sample_value("archloom_rpc_seconds_count", labels)


async def serve(token: str = "") -> AsyncIterator[Served]:
    registry = CollectorRegistry()
    edge = Edge(Gate(token), Rules(), Metrics(registry), time.monotonic)
    servicer = Scripted()  # type: ignore[abstract]
    server = grpc.aio.server(interceptors=[edge], options=[("grpc.max_receive_message_length", 65536)])
    experiment_pb2_grpc.add_ExperimentServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Served(servicer, edge, registry, experiment_pb2_grpc.ExperimentServiceStub(channel), channel)
    await server.stop(None)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async for running in serve():
        yield running


@pytest.fixture
async def guarded() -> AsyncIterator[Served]:
    async for running in serve(token="secret"):
        yield running


def raising(error: Exception) -> Body:
    async def body(request: Any) -> Any:
        raise error

    return body


@pytest.mark.parametrize("kind", [kind for _, kind in sorted(errors.BY_CODE.items())])
async def test_each_error_becomes_its_status_with_a_stable_reason(
    served: Served, kind: type[errors.ArchloomError]
) -> None:
    served.servicer.body = raising(kind("the sentence", reason="SOME_REASON", retry_after_seconds=1.5))
    refused = await refusal_of(served.stub.GetExperiment(GET))
    assert refused.code.name == kind.code
    assert (refused.sentence, refused.reason, refused.domain) == ("the sentence", "SOME_REASON", "archloom")
    assert refused.retry_after_seconds == 1.5
    assert served.measured("GetExperiment", kind.code) == 1


async def test_a_handlers_faults_come_as_bad_request(served: Served) -> None:
    faults = [errors.Violation("spec.seed", "is odd"), errors.Violation("spec.task.dataset", "is unknown")]
    served.servicer.body = raising(errors.InvalidInput(faults))
    refused = await refusal_of(served.stub.GetExperiment(GET))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.violations == {"spec.seed": "is odd", "spec.task.dataset": "is unknown"}


async def test_more_faults_than_a_header_holds_are_counted(served: Served) -> None:
    faults = [errors.Violation(f"spec.space.body.sequence[{n}].layer", "ist schön " * 9) for n in range(5000)]
    served.servicer.body = raising(errors.InvalidInput(faults))
    refused = await refusal_of(served.stub.GetExperiment(GET))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    told = len(refused.violations) - 1
    assert told > 5
    assert refused.violations[""] == f"and {5000 - told} more"


async def test_a_defect_is_logged_under_an_id_and_not_told(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.servicer.body = raising(ValueError("the password is swordfish"))
    with caplog.at_level(logging.ERROR):
        refused = await refusal_of(served.stub.GetExperiment(GET))
    assert refused.code is grpc.StatusCode.INTERNAL
    assert "swordfish" not in refused.sentence
    number = refused.sentence.rpartition(" ")[2]
    assert number in caplog.text
    assert "swordfish" in caplog.text


async def test_a_database_that_is_away_is_worth_another_try(served: Served) -> None:
    served.servicer.body = raising(AutoReconnect("127.0.0.1:27017: connection closed"))
    refused = await refusal_of(served.stub.GetExperiment(GET))
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.retry_after_seconds == 1.0
    assert "27017" not in refused.sentence


async def test_a_method_without_a_body_is_unimplemented(served: Served) -> None:
    refused = await refusal_of(served.stub.GetReport(experiment_pb2.GetReportRequest(name=NAME)))
    assert refused.code is grpc.StatusCode.UNIMPLEMENTED


async def test_a_request_that_breaks_rules_never_reaches_its_handler(served: Served) -> None:
    refused = await refusal_of(served.stub.GetExperiment(experiment_pb2.GetExperimentRequest()))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(refused.violations) == ["name"]
    assert not served.servicer.seen


async def test_a_call_that_reports_faults_gets_a_faulty_request(served: Served) -> None:
    await served.stub.ValidateExperiment(experiment_pb2.ValidateExperimentRequest(parent="nonsense"))
    assert served.servicer.seen[0].parent == "nonsense"  # type: ignore[attr-defined]


async def test_unreadable_bytes_are_an_invalid_argument_even_there(served: Served) -> None:
    for method in ("GetExperiment", "ValidateExperiment"):
        raw: Any = served.channel.unary_unary(f"/archloom.v1.ExperimentService/{method}")
        refused = await refusal_of(raw(b"\x0a\xff"))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert not served.servicer.seen


async def test_a_message_over_the_limit_is_refused(served: Served) -> None:
    huge = experiment_pb2.GetExperimentRequest(name="x" * 100000)
    refused = await refusal_of(served.stub.GetExperiment(huge))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_is_validated_and_its_errors_are_mapped(served: Served) -> None:
    refused = await refusal_of(served.stub.WatchExperiment(experiment_pb2.WatchExperimentRequest()).read())
    assert list(refused.violations) == ["name"]
    served.servicer.body = raising(errors.NotFound("it was deleted meanwhile"))
    call = served.stub.WatchExperiment(WATCH)
    assert (await call.read()).resume_token == "first"
    refused = await refusal_of(call.read())
    assert refused.code is grpc.StatusCode.NOT_FOUND


async def test_a_mutating_handler_comes_to_its_end_though_the_caller_left(served: Served) -> None:
    reached, go_on, effects = asyncio.Event(), asyncio.Event(), []

    async def body(request: Any) -> Any:
        caller = current_caller()
        reached.set()
        await caller.gone.wait()
        await go_on.wait()
        effects.append(request.name)
        return experiment_pb2.PauseExperimentResponse()

    served.servicer.body = body
    call = served.stub.PauseExperiment(PAUSE)
    await reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    await served.edge.drain(30)
    assert effects == [NAME]


async def test_a_reading_handler_is_dropped_when_the_caller_leaves(served: Served) -> None:
    reached, dropped = asyncio.Event(), asyncio.Event()

    async def body(request: Any) -> Any:
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            dropped.set()
            raise

    served.servicer.body = body
    call = served.stub.GetExperiment(GET)
    await reached.wait()
    call.cancel()
    await asyncio.wait_for(dropped.wait(), 30)

    async def measured() -> bool:
        return served.measured("GetExperiment", "CANCELLED") == 1

    await until(measured, "the cancelled call to be counted")


async def test_a_stream_whose_caller_leaves_is_dropped(served: Served) -> None:
    dropped = asyncio.Event()

    async def body(request: Any) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            dropped.set()
            raise

    served.servicer.body = body
    call = served.stub.WatchExperiment(WATCH)
    await call.read()
    call.cancel()
    await asyncio.wait_for(dropped.wait(), 30)


@pytest.mark.parametrize(
    "metadata", [(), (("authorization", "Bearer wrong"),), (("authorization", "Basic secret"),)]
)
async def test_with_a_token_set_calls_without_it_are_refused(guarded: Served, metadata: Any) -> None:
    refused = await refusal_of(guarded.stub.GetExperiment(GET, metadata=metadata))
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert "ARCHLOOM_TOKEN" in refused.sentence
    refused = await refusal_of(guarded.stub.WatchExperiment(WATCH, metadata=metadata).read())
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert not guarded.servicer.seen


async def test_the_tokens_holder_is_let_in_under_a_name(guarded: Served) -> None:
    names = []

    async def body(request: Any) -> Any:
        names.append(principal.get())
        return experiment_pb2.GetExperimentResponse()

    guarded.servicer.body = body
    await guarded.stub.GetExperiment(GET, metadata=(("authorization", "Bearer secret"),))
    assert names == ["token"]


async def test_calls_are_measured_by_method_and_code(served: Served) -> None:
    await served.stub.GetExperiment(GET)
    await served.stub.GetExperiment(GET)
    assert served.measured("GetExperiment", "OK") == 2
