"""The errors of Archloom, and the one table between them and gRPC status codes.

The controller raises them, its interceptor turns them into statuses with google.rpc details, and the
client turns the statuses back. Each docstring says what the caller does next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One fault of an input: where (``space.body.sequence[2].k``), and what is wrong with it."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ArchloomError(Exception):
    """Base of all errors. ``reason`` is stable and for programs, the message is for people."""

    code = "UNKNOWN"
    reason = "UNKNOWN"

    def __init__(
        self, message: str, *, reason: str | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class InvalidInput(ArchloomError):
    """The input has faults, each with its field's path; nothing was changed. Mend the input; repeating the
    call is useless.
    """

    code = "INVALID_ARGUMENT"
    reason = "INVALID_INPUT"

    def __init__(self, violations: Sequence[Violation], message: str = "") -> None:
        super().__init__(message or "; ".join(str(violation) for violation in violations))
        self.violations = tuple(violations)


class NotFound(ArchloomError):
    """There is nothing of that name, or the caller may not see it."""

    code = "NOT_FOUND"
    reason = "NOT_FOUND"


class AlreadyExists(ArchloomError):
    """The name is taken. Choose another, or get the existing one."""

    code = "ALREADY_EXISTS"
    reason = "ALREADY_EXISTS"


class WrongState(ArchloomError):
    """The resource's state does not allow the call. The message says what to do first."""

    code = "FAILED_PRECONDITION"
    reason = "WRONG_STATE"


class Conflict(ArchloomError):
    """Somebody else changed the resource meanwhile (etag). Read it again, then decide."""

    code = "ABORTED"
    reason = "CONFLICT"


class PermissionDenied(ArchloomError):
    """The token does not allow the call."""

    code = "PERMISSION_DENIED"
    reason = "PERMISSION_DENIED"


class Unauthenticated(ArchloomError):
    """There is no valid token. Set ARCHLOOM_TOKEN."""

    code = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"


class ResourceExhausted(ArchloomError):
    """A quota or a size limit is reached. The message names it."""

    code = "RESOURCE_EXHAUSTED"
    reason = "RESOURCE_EXHAUSTED"


class Unavailable(ArchloomError):
    """The server, or a part it needs, cannot be reached now. The client tried again already; try later."""

    code = "UNAVAILABLE"
    reason = "UNAVAILABLE"


class DeadlineExceeded(ArchloomError):
    """The caller's deadline passed. A mutating call may have had its effect: repeat it with its id."""

    code = "DEADLINE_EXCEEDED"
    reason = "DEADLINE_EXCEEDED"


class Unimplemented(ArchloomError):
    """This server does not have the method yet."""

    code = "UNIMPLEMENTED"
    reason = "UNIMPLEMENTED"


class InternalError(ArchloomError):
    """A defect of the server; its log has the details under the request's id. The caller can report it."""

    code = "INTERNAL"
    reason = "INTERNAL"


BY_CODE: dict[str, type[ArchloomError]] = {
    kind.code: kind
    for kind in (
        NotFound,
        AlreadyExists,
        WrongState,
        Conflict,
        PermissionDenied,
        Unauthenticated,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Unimplemented,
        InternalError,
    )
}
