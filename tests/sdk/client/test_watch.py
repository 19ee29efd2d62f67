from __future__ import annotations

from functools import partial
from typing import Any

import grpc
import pytest
from archloom.client import Client
from archloom.errors import NotFound, Unavailable
from archloom.v1 import experiment_pb2 as pb
from fake_server import NAME, FakeServer, refuse
from sample_search import Sample

cut = partial(refuse, code=grpc.StatusCode.UNAVAILABLE, message="connection reset")


@pytest.fixture(autouse=True)
def filled(fake: FakeServer, sample: Sample) -> None:
    fake.experiment, fake.trials, fake.report = sample
    fake.experiment.sequence = 4


def answer(
    *sequences: int, ended: FakeServer | None = None, reset: bool = False
) -> pb.WatchExperimentResponse:
    events = [pb.Event(sequence=each, kind=pb.EVENT_KIND_TRIAL_FINISHED) for each in sequences]
    made = pb.WatchExperimentResponse(
        events=events, resume_token=f"t{max(sequences, default=0)}", reset=reset
    )
    if ended is not None:
        made.experiment.CopyFrom(ended.experiment)
    return made


def sequences(client: Client, **options: Any) -> list[int]:
    return [
        event.sequence for update in client.experiments.watch("sample", **options) for event in update.events
    ]


def test_a_cut_stream_goes_on_at_its_token(client: Client, fake: FakeServer) -> None:
    fake.watches = [[answer(1, 2), cut], [cut], [answer(3), answer(4, ended=fake)]]
    assert sequences(client) == [1, 2, 3, 4]
    assert [request.resume_token for request in fake.asked("WatchExperiment")] == ["", "t2", "t2"]


def test_an_early_snapshot_of_the_end_does_not_hide_the_last_events(client: Client, fake: FakeServer) -> None:
    fake.watches = [[answer(ended=fake), answer(1, 2), answer(3, 4)]]
    assert sequences(client) == [1, 2, 3, 4]


def test_a_stream_that_ends_before_the_experiment_is_opened_again(client: Client, fake: FakeServer) -> None:
    fake.watches = [[answer(1)], [], [answer(2, 3, 4, ended=fake)]]
    assert sequences(client) == [1, 2, 3, 4]


def test_an_ended_experiment_with_nothing_new_ends_the_watch(client: Client, fake: FakeServer) -> None:
    fake.watches = [[answer(ended=fake)]]
    updates = list(client.experiments.watch(NAME, resume_token="t4"))
    assert [update.experiment and update.experiment.state for update in updates] == ["succeeded"]


def test_a_reset_is_told(client: Client, fake: FakeServer) -> None:
    fake.watches = [[answer(3, 4, ended=fake, reset=True)]]
    assert [update.reset for update in client.experiments.watch("sample")] == [True]


def test_patience_ends(client: Client, fake: FakeServer, pauses: list[float]) -> None:
    now = [0.0]
    client._connection.monotonic = lambda: now[0]

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += 5

    client._connection.sleep = pause
    fake.watches = [[answer(1), cut], *([[cut]] * 50)]
    with pytest.raises(Unavailable):
        sequences(client, patience_seconds=60)
    assert len(pauses) == 12
    assert max(pauses) <= 5


def test_other_errors_are_raised_at_once(client: Client, fake: FakeServer, pauses: list[float]) -> None:
    fake.watches = [[partial(refuse, code=grpc.StatusCode.NOT_FOUND, message="gone", reason="NOT_FOUND")]]
    with pytest.raises(NotFound):
        sequences(client)
    assert pauses == []
