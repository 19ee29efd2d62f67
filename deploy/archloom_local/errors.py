"""What can go wrong on the machine itself."""

from __future__ import annotations

from archloom.errors import ArchloomError


class LocalError(ArchloomError):
    """A part of the local stack is missing or does not start. The message says what to do."""

    code = "FAILED_PRECONDITION"
    reason = "LOCAL_STACK"
