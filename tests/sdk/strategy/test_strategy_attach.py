from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from archloom.client.connection import Backoff
from archloom.errors import InternalError, Unauthenticated
from archloom.strategy import ProposeRequest, ProposeResult, SearchSpec, Strategy, convert
from archloom.strategy.attach import Attachment
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import Session
from archloom.v1 import strategy_pb2, strategy_pb2_grpc

QUICK = Backoff(first_seconds=0.01, longest_seconds=0.05)


class Host(strategy_pb2_grpc.StrategyHostServiceServicer):
    """The controller's end of the stream: what the plugin said, and calls to it, one after the other."""

    def __init__(self) -> None:
        self.hellos: queue.Queue[strategy_pb2.StrategyDescription] = queue.Queue()
        self.tokens: list[str] = []
        self.refuse = False
        self._calls: queue.Queue[strategy_pb2.AttachResponse | None] = queue.Queue()
        self._answers: queue.Queue[strategy_pb2.AttachAnswer] = queue.Queue()
        self._number = 0

    def Attach(self, requests: Iterator[strategy_pb2.AttachRequest], context: grpc.ServicerContext) -> Any:
        token = dict(context.invocation_metadata()).get("authorization", "")
        self.tokens.append(str(token))
        if self.refuse:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is not valid")
        hello = next(requests).hello
        self.hellos.put(hello)
        threading.Thread(target=self._read, args=(requests,), daemon=True).start()
        yield strategy_pb2.AttachResponse(attached=f"strategies/{hello.name}")
        while (call := self._calls.get()) is not None:
            yield call

    def _read(self, requests: Iterator[strategy_pb2.AttachRequest]) -> None:
        try:
            for request in requests:
                self._answers.put(request.answer)
        except grpc.RpcError:
            return

    def cut(self) -> None:
        """Ends the stream."""
        self._calls.put(None)

    # As a Plugin of the testing kit.

    def describe(self) -> strategy_pb2.StrategyDescription:
        return self.hellos.get(timeout=10)

    def validate(
        self, request: strategy_pb2.ValidateStrategyRequest
    ) -> strategy_pb2.ValidateStrategyResponse:
        return self._ask(validate=request).validate

    def propose(self, request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        return self._ask(propose=request).propose

    def send(self, **request: Any) -> None:
        """A call, whose answer nobody waits for."""
        self._number += 1
        self._calls.put(strategy_pb2.AttachResponse(call=self._number, **request))

    def _ask(self, **request: Any) -> strategy_pb2.AttachAnswer:
        self.send(**request)
        answer = self._answers.get(timeout=10)
        assert answer.call == self._number
        if answer.HasField("error"):
            raise InternalError(answer.error)
        return answer


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def address(host: Host) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8))
    strategy_pb2_grpc.add_StrategyHostServiceServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    host.cut()
    server.stop(0).wait()


def test_a_search_through_the_stream(
    host: Host, address: str, counting: Strategy[Any, Any], spec: SearchSpec
) -> None:
    """The same answers as a plugin that listens."""
    attachment = Attachment(StrategyRuntime(counting), address, token="secret", backoff=QUICK).start()
    try:
        assert host.describe().name == "counting"
        assert attachment.wait_attached()
        session = Session(host, spec)
        session.check()
        rehearse(session, spec, trials=5)
        here = Session(StrategyRuntime(counting), spec)
        rehearse(here, spec, trials=5)
        assert [answer for _, answer in session.record] == [answer for _, answer in here.record]
        assert host.tokens == ["Bearer secret"]
    finally:
        attachment.stop()


def test_it_comes_back_while_a_call_of_the_lost_stream_hangs(
    host: Host, address: str, spec: SearchSpec
) -> None:
    begun, let_go = threading.Event(), threading.Event()

    class Hanging(Strategy):
        """Waits for the test."""

        name = "hanging"

        def propose(self, request: ProposeRequest) -> ProposeResult:
            begun.set()
            let_go.wait(60)
            return ProposeResult(waiting=True)

    attachment = Attachment(StrategyRuntime(Hanging()), address, backoff=QUICK).start()
    try:
        assert host.describe().name == "hanging"
        host.send(
            propose=strategy_pb2.ProposeRequest(
                experiment="projects/p/experiments/e", spec=convert.spec_message(spec, {}), step=1, count=1
            )
        )
        assert begun.wait(10)
        host.cut()
        assert host.describe().name == "hanging"
        assert not let_go.is_set()
    finally:
        let_go.set()
        attachment.stop()


def test_it_comes_back_when_the_stream_is_lost(
    host: Host, address: str, counting: Strategy[Any, Any], spec: SearchSpec
) -> None:
    attachment = Attachment(StrategyRuntime(counting), address, backoff=QUICK).start()
    try:
        for _ in range(3):
            assert host.describe().name == "counting"
            session = Session(host, spec)
            assert session.ask(2).proposals.proposals
            host.cut()
        assert host.describe().name == "counting"
    finally:
        attachment.stop()


def test_a_fault_of_the_request_is_a_sentence_on_the_stream(
    host: Host, address: str, counting: Strategy[Any, Any], spec: SearchSpec
) -> None:
    attachment = Attachment(StrategyRuntime(counting), address, backoff=QUICK).start()
    try:
        host.describe()
        with pytest.raises(InternalError, match="no such setting"):
            Session(host, spec, {"unknown": 1}).ask(1)
        assert Session(host, spec).ask(1).proposals.proposals
    finally:
        attachment.stop()


def test_a_refusal_ends_it(host: Host, address: str, counting: Strategy[Any, Any]) -> None:
    host.refuse = True
    with pytest.raises(Unauthenticated, match="the token is not valid"):
        Attachment(StrategyRuntime(counting), address, token="wrong", backoff=QUICK).run()
    assert host.tokens == ["Bearer wrong"]
