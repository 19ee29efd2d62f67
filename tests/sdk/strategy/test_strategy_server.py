from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from archloom.client.failures import error_of
from archloom.errors import InternalError, InvalidInput, Unavailable
from archloom.strategy import ProposeRequest, ProposeResult, SearchSpec, Strategy, convert
from archloom.strategy.metrics import MeteredPlugin, StrategyMetrics
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.server import SERVICE, StrategyServer
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import RemotePlugin, Session
from archloom.v1 import strategy_pb2, strategy_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


class Failing(Strategy):
    """Raises."""

    name = "failing"

    def propose(self, request: ProposeRequest) -> ProposeResult:
        raise RuntimeError("the sky fell")


@pytest.fixture
def server(counting: Strategy[Any, Any]) -> Iterator[StrategyServer]:
    with StrategyServer(StrategyRuntime(counting)) as running:
        yield running


def test_a_search_over_the_socket(server: StrategyServer, spec: SearchSpec) -> None:
    with RemotePlugin(server.address) as plugin:
        assert plugin.describe().name == "counting"
        assert rehearse(Session(plugin, spec), spec, trials=5).ended == 5


def test_faults_come_with_their_fields(server: StrategyServer) -> None:
    request = strategy_pb2.ProposeRequest(experiment="e", step=1, spec=strategy_pb2.SearchSpec(revision=1))
    request.spec.space.SetInParent()
    request.spec.settings.CopyFrom(convert.struct({"stepsize": 1}))
    with grpc.insecure_channel(server.address) as channel:
        stub = strategy_pb2_grpc.StrategyServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refusal:
            stub.Propose(request, timeout=10)
    error = error_of(refusal.value, server.address)
    assert isinstance(error, InvalidInput)
    fields = [fault.field for fault in error.violations]
    assert fields[0] == "settings.stepsize"
    assert any(field.startswith("space") for field in fields)


def test_a_strategy_that_raises_is_internal_with_its_sentence(spec: SearchSpec) -> None:
    with (
        StrategyServer(StrategyRuntime(Failing())) as running,
        RemotePlugin(running.address) as plugin,
        pytest.raises(InternalError, match="'failing' failed in propose: RuntimeError: the sky fell"),
    ):
        Session(plugin, spec).ask(1)


def test_a_taken_port_is_one_sentence(server: StrategyServer, counting: Strategy[Any, Any]) -> None:
    with pytest.raises(Unavailable, match="the port is taken"):
        StrategyServer(StrategyRuntime(counting), server.address)


@pytest.mark.parametrize(
    ("listen", "sentence"),
    [
        ("0.0.0.0:0", "other machines"),
        ("nowhere", "not of the form"),
        ("127.0.0.1:http", "not of the form"),
        (":7000", "not of the form"),
    ],
)
def test_where_it_may_not_listen(counting: Strategy[Any, Any], listen: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        StrategyServer(StrategyRuntime(counting), listen)


def test_it_says_that_it_serves(server: StrategyServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        for service in ("", SERVICE):
            answer = check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_its_calls_are_counted(counting: Strategy[Any, Any], spec: SearchSpec) -> None:
    metrics = StrategyMetrics()
    port = metrics.listen("127.0.0.1:0")
    with (
        StrategyServer(MeteredPlugin(StrategyRuntime(counting), metrics)) as running,
        RemotePlugin(running.address) as plugin,
    ):
        session = Session(plugin, spec)
        for ordinal, proposal in enumerate(session.ask(3).proposals.proposals):
            session.finish(session.accept(ordinal, proposal), {"val_accuracy": 0.5})
        made = sum(len(answer.proposals.proposals) for _, answer in session.record)
        session.ask(0)
        with pytest.raises(InvalidInput):
            Session(plugin, spec, {"unknown": 1}).ask(1)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        text = page.read().decode()
    assert f'archloom_strategy_proposals_total{{strategy="counting"}} {made}.0' in text
    assert f'archloom_strategy_observations_total{{strategy="counting"}} {2 * made}.0' in text
    called = 'archloom_strategy_call_seconds_count{{method="Propose",outcome="{}",strategy="counting"}} {}'
    assert called.format("proposals", 2.0) in text
    assert called.format("INVALID_ARGUMENT", 1.0) in text
    assert "process_cpu_seconds_total" in text


def test_a_taken_metrics_port_is_one_sentence() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(Unavailable, match="cannot serve metrics"),
    ):
        StrategyMetrics().listen(f"127.0.0.1:{taken.getsockname()[1]}")


def test_searches_at_the_same_time_do_not_touch_each_other(server: StrategyServer, spec: SearchSpec) -> None:
    def answers(seed: int) -> list[bytes]:
        with RemotePlugin(server.address) as plugin:
            session = Session(plugin, spec, {"step_size": seed + 1}, seed=seed, name=f"beside-{seed}")
            rehearse(session, spec, trials=6, parallel=2)
            return [answer.SerializeToString(deterministic=True) for _, answer in session.record]

    alone = [answers(seed) for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(answers, range(6))) == alone
    assert len({answer for session in alone for answer in session[:1]}) == 6
