"""From a gRPC status back to the error of `archloom.errors` that the controller raised."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from archloom.errors import BY_CODE, ArchloomError, InvalidInput, Violation


def error_of(failure: grpc.RpcError, server: str) -> ArchloomError:
    """The typed error for a failed call; `server` is named when it could not be reached."""
    if not isinstance(failure, grpc.Call):
        return ArchloomError(f"The call to {server} failed: {failure}")
    code, message = failure.code(), failure.details() or ""
    violations: list[Violation] = []
    reason: str | None = None
    retry_after: float | None = None
    status = rpc_status.from_call(failure)
    for detail in status.details if status is not None else ():
        bad, info, retry = (
            error_details_pb2.BadRequest(),
            error_details_pb2.ErrorInfo(),
            error_details_pb2.RetryInfo(),
        )
        if detail.Unpack(bad):
            violations += [Violation(each.field, each.description) for each in bad.field_violations]
        elif detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return _typed(code, message, violations, reason, retry_after, server)


def _typed(
    code: grpc.StatusCode,
    message: str,
    violations: list[Violation],
    reason: str | None,
    retry_after: float | None,
    server: str,
) -> ArchloomError:
    if code is grpc.StatusCode.INVALID_ARGUMENT or code is grpc.StatusCode.OUT_OF_RANGE:
        invalid = InvalidInput(violations or [Violation("", message)])
        if reason:
            invalid.reason = reason
        return invalid
    if code is grpc.StatusCode.UNAVAILABLE and reason is None:
        # The transport's own message ("failed to connect to all addresses; ...") names no way out.
        message = (
            f"No Archloom server answers at {server}: start one with `archloom local up`, "
            "or name another in ARCHLOOM_SERVER."
        )
    if code is grpc.StatusCode.UNAUTHENTICATED and reason is None:
        message = message or "The server wants a token: set ARCHLOOM_TOKEN."
    if code is grpc.StatusCode.UNIMPLEMENTED and reason is None:
        message = f"The server at {server} does not know this call: it has another version than this client."
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"{server} did not answer in time: try again, or look at the server's log."
    if code is grpc.StatusCode.CANCELLED:
        return ArchloomError("The call was cancelled.", reason="CANCELLED")
    kind = BY_CODE.get(code.name, ArchloomError)
    return kind(message or code.name, reason=reason, retry_after_seconds=retry_after)
