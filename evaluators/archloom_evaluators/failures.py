"""Why an evaluation ends without a result: each reason has its own retry rule in the controller."""

from __future__ import annotations

from enum import Enum

from archloom.v1 import common_pb2

MESSAGE_LIMIT = 2000


class Reason(Enum):
    """The failure reasons that a worker can tell; LOST is the controller's to decide."""

    OUT_OF_MEMORY = common_pb2.FAILURE_REASON_OUT_OF_MEMORY
    DIVERGED = common_pb2.FAILURE_REASON_DIVERGED
    CANNOT_BUILD = common_pb2.FAILURE_REASON_CANNOT_BUILD
    DATA = common_pb2.FAILURE_REASON_DATA
    TIMEOUT = common_pb2.FAILURE_REASON_TIMEOUT
    INTERNAL = common_pb2.FAILURE_REASON_INTERNAL


class EvaluationFailure(Exception):
    """The trial has no result. The worker reports reason and message and goes on with other trials."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message[:MESSAGE_LIMIT]


class AttemptStopped(Exception):
    """The lease is gone or the trial was stopped: drop the attempt and report nothing."""


class AttemptYielded(Exception):
    """Save a checkpoint and let go: the trial goes on elsewhere."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device's or the machine's memory was not enough."""
    # torch.OutOfMemoryError is a RuntimeError; the CPU allocator raises a plain one. Neither needs an
    # import of torch here.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def classify(error: Exception) -> EvaluationFailure:
    """The failure that any exception out of an evaluator stands for."""
    if isinstance(error, EvaluationFailure):
        return error
    text = f"{type(error).__name__}: {error}"
    return EvaluationFailure(Reason.OUT_OF_MEMORY if is_out_of_memory(error) else Reason.INTERNAL, text)
