"""One table between errors and what a caller is sent: a status code, a sentence, and google.rpc details."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass

import grpc
from archloom.errors import ArchloomError, InternalError, InvalidInput, Unavailable, Unimplemented
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from pymongo.errors import ConnectionFailure, ExecutionTimeout, PyMongoError, WTimeoutError

_log = logging.getLogger(__name__)

DOMAIN = "archloom"
#: Clients refuse more than 8 KiB of trailing metadata, and details are base64 there.
_VIOLATIONS_BYTES = 3200
_SENTENCE_BYTES = 800


@dataclass(frozen=True)
class Refusal:
    """How a call ends without an answer."""

    code: grpc.StatusCode
    sentence: str
    metadata: tuple[tuple[str, bytes], ...]


def refusal(error: Exception, method: str) -> Refusal:
    """What the caller of ``method`` is sent for ``error``; what it must not see goes to the log instead."""
    known = _known(error, method)
    code = grpc.StatusCode[known.code]
    sentence = _shortened(known.message)
    status = status_pb2.Status(code=code.value[0], message=sentence)
    _attach(status, error_details_pb2.ErrorInfo(reason=known.reason, domain=DOMAIN))
    if known.retry_after_seconds is not None:
        wait = error_details_pb2.RetryInfo()
        wait.retry_delay.FromNanoseconds(int(known.retry_after_seconds * 1e9))
        _attach(status, wait)
    if isinstance(known, InvalidInput):
        _attach(status, _bad_request(known))
    return Refusal(code, sentence, (("grpc-status-details-bin", status.SerializeToString()),))


def _known(error: Exception, method: str) -> ArchloomError:
    if isinstance(error, ArchloomError):
        return error
    if isinstance(error, NotImplementedError):
        return Unimplemented(f"{method} is not there yet")
    if is_outage(error):
        _log.warning("%s: the database cannot be used: %s", method, error)
        return Unavailable("the database cannot be reached now; try again", retry_after_seconds=1.0)
    number = secrets.token_hex(6)
    _log.error("%s failed (error %s)", method, number, exc_info=error)
    return InternalError(f"a defect of the server; its log has the details under error {number}")


def is_outage(error: BaseException) -> bool:
    """Whether a database error passes by itself: the server is away, electing or too slow."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WTimeoutError):
        return True
    return isinstance(error, PyMongoError) and (
        error.has_error_label("TransientTransactionError") or error.has_error_label("RetryableWriteError")
    )


def _bad_request(error: InvalidInput) -> error_details_pb2.BadRequest:
    """Every fault that fits, and how many more there are."""
    told = error_details_pb2.BadRequest()
    size = 0
    for index, violation in enumerate(error.violations):
        field, message = violation.field[:300], _shortened(violation.message)
        size += len(field.encode()) + len(message.encode()) + 8
        if size > _VIOLATIONS_BYTES:
            more = len(error.violations) - index
            told.field_violations.add(field="", description=f"and {more} more")
            break
        told.field_violations.add(field=field, description=message)
    return told


def _shortened(text: str) -> str:
    data = text.encode()
    if len(data) <= _SENTENCE_BYTES:
        return text
    return data[: _SENTENCE_BYTES - 3].decode(errors="ignore") + "…"


def _attach(status: status_pb2.Status, detail: Message) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)
