"""What a worker tries again, and what it takes as an answer."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from archloom.v1 import evaluation_pb2
from archloom_evaluators.failures import EvaluationFailure, Reason, classify
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


@pytest.mark.parametrize(("told", "calls"), [(None, 1), (0.1, 3)], ids=["full quota", "under load"])
def test_exhaustion_is_waited_out_only_when_the_server_says_so(
    served: Any, kit: Any, monkeypatch: pytest.MonkeyPatch, told: float | None, calls: int
) -> None:
    seen = []

    def lease(request: Any, context: Any) -> Any:
        seen.append(request.request_id)
        if len(seen) == 3:
            return evaluation_pb2.LeaseTrialsResponse()
        status = status_pb2.Status(code=8, message="no more")
        if told is not None:
            detail = error_details_pb2.RetryInfo()
            detail.retry_delay.FromMilliseconds(int(told * 1000))
            status.details.add().Pack(detail)
        return context.abort_with_status(rpc_status.to_status(status))

    monkeypatch.setattr(served.controller, "LeaseTrials", lease)
    served.stop()
    served.start()
    with kit.worker(served, {}) as worker:
        if told is None:
            with pytest.raises(grpc.RpcError):
                worker.loop.drain()
        else:
            assert worker.loop.drain() == 0
    assert len(seen) == calls
    assert len(set(seen)) == 1


def test_classify_keeps_a_failure_that_is_one() -> None:
    failure = EvaluationFailure(Reason.DATA, "x" * 10_000)
    assert classify(failure) is failure
    assert len(failure.message) == 2000
    assert classify(RuntimeError("shape mismatch")).reason is Reason.INTERNAL
