"""The client against a fake server, and a finished search, for every suite of the SDK."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from archloom.client import Client, Experiment, Report, Trial
from archloom.report import Outcome
from archloom.space import Space, load_preset
from fake_server import FakeServer, add_services
from sample_search import Sample, sample_messages


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """The server, on a socket of its own, before anything was put in."""
    state = FakeServer()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    add_services(state, server)
    state.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield state
    server.stop(None).wait()


@pytest.fixture
def pauses() -> list[float]:
    """Seconds that `client` waited before it tried again; the waiting itself takes no time."""
    return []


@pytest.fixture
def client(fake: FakeServer, pauses: list[float]) -> Iterator[Client]:
    with Client(fake.address) as made:
        made._connection.sleep = pauses.append
        made._connection.rng = random.Random(1)
        yield made


@pytest.fixture(scope="session")
def space() -> Space:
    return load_preset("nasbench201")


@pytest.fixture
def sample(space: Space) -> Sample:
    """A finished search: 12 trials, 4 controls, two finalists of two seeds, a winner, its test score."""
    return sample_messages(space)


@pytest.fixture
def outcome(sample: Sample) -> Outcome:
    experiment, trials, report = sample
    return Outcome(
        Experiment.from_proto(experiment),
        Report.from_proto(report),
        [Trial.from_proto(each) for each in trials],
    )
