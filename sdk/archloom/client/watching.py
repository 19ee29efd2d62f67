"""Following an experiment's log across lost connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archloom.client.connection import Connection
from archloom.client.values import Event, Experiment
from archloom.errors import ArchloomError, InternalError, Unavailable
from archloom.v1 import experiment_pb2, experiment_pb2_grpc


@dataclass(frozen=True)
class WatchUpdate:
    """News of an experiment: events, oldest first, and a snapshot where the server sent one.

    `reset` says that the log before this point was pruned: forget what you had and take the snapshot.
    `resume_token` is where a later watch goes on.
    """

    events: tuple[Event, ...]
    experiment: Experiment | None
    reset: bool
    resume_token: str


_ENDED = frozenset(
    (
        experiment_pb2.EXPERIMENT_STATE_SUCCEEDED,
        experiment_pb2.EXPERIMENT_STATE_CANCELLED,
        experiment_pb2.EXPERIMENT_STATE_FAILED,
    )
)


def watch(
    connection: Connection,
    stub: experiment_pb2_grpc.ExperimentServiceStub,
    name: str,
    resume_token: str = "",
    patience_seconds: float = 60.0,
) -> Iterator[WatchUpdate]:
    """Updates until the experiment has ended. A cut stream goes on at its token, so that nothing is missed.

    Raises the last error once no connection could be made for `patience_seconds`.
    """
    token, failures, cut_at = resume_token, 0, 0.0
    seen, ended_at = 0, -1
    while True:
        request = experiment_pb2.WatchExperimentRequest(name=name, resume_token=token)
        error: ArchloomError | None = None
        try:
            for answer in connection.stream(stub.WatchExperiment, request):
                failures, token = 0, answer.resume_token or token
                if answer.events:
                    seen = answer.events[-1].sequence
                if answer.HasField("experiment") and answer.experiment.state in _ENDED:
                    ended_at = answer.experiment.sequence
                yield _update(answer)
                # The snapshot of an ended experiment may come before its last events.
                if 0 <= ended_at <= seen:
                    return
        except (Unavailable, InternalError) as failure:
            # INTERNAL is how a proxy, or HTTP/2 itself, ends a stream that it resets.
            error = failure
        if error is None and ended_at >= 0:
            return
        now = connection.monotonic()
        if failures == 0:
            cut_at = now
        failures += 1
        if error is not None and now - cut_at >= patience_seconds:
            raise error
        asked = error.retry_after_seconds if error is not None else None
        connection.sleep(connection.backoff.pause(failures, connection.rng, asked))


def _update(answer: experiment_pb2.WatchExperimentResponse) -> WatchUpdate:
    return WatchUpdate(
        events=tuple(map(Event.from_proto, answer.events)),
        experiment=Experiment.from_proto(answer.experiment) if answer.HasField("experiment") else None,
        reset=answer.reset,
        resume_token=answer.resume_token,
    )
