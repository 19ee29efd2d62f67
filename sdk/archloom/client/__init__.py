"""The Python client of an Archloom server.

from archloom import Client, ExperimentSpec

with Client() as client:
    experiment = client.experiments.create(ExperimentSpec.load("mnist.yaml"))
    for update in client.experiments.watch(experiment.name):
        print(update.experiment.phase if update.experiment else len(update.events))
    print(client.experiments.report(experiment.name).test)
"""

from __future__ import annotations

import os
from types import TracebackType

import grpc

from archloom.client.artifacts import Artifacts
from archloom.client.connection import DEFAULT_SERVER, Connection, open_channel
from archloom.client.evidence import (
    ControlComparison,
    Finalist,
    Network,
    NetworkNode,
    Report,
    SampleSummary,
    TestScore,
)
from archloom.client.experiments import Experiments, ReplayedStep
from archloom.client.naming import project_of
from archloom.client.registry import DatasetInfo, Registry, SpaceInfo, StrategyInfo, WorkerInfo
from archloom.client.spaces import Spaces
from archloom.client.trials import OwnTrial, Trials
from archloom.client.values import (
    Artifact,
    Event,
    Experiment,
    Failure,
    Fidelity,
    Measurement,
    Trial,
    TrialCounts,
)
from archloom.client.watching import WatchUpdate

__all__ = [
    "Artifact",
    "Client",
    "ControlComparison",
    "DatasetInfo",
    "Event",
    "Experiment",
    "Failure",
    "Fidelity",
    "Finalist",
    "Measurement",
    "Network",
    "NetworkNode",
    "OwnTrial",
    "ReplayedStep",
    "Report",
    "SampleSummary",
    "SpaceInfo",
    "StrategyInfo",
    "TestScore",
    "Trial",
    "TrialCounts",
    "WatchUpdate",
    "WorkerInfo",
]


class Client:
    """One server and one project. Safe to use from several threads.

    `server` is ``HOST:PORT`` or ``https://HOST:PORT``; left out, it comes from ARCHLOOM_SERVER, then the
    local default. `token` and `project` likewise come from ARCHLOOM_TOKEN and ARCHLOOM_PROJECT ("default").
    A `channel` of one's own replaces the connection that is opened here; it stays its maker's to close.
    """

    def __init__(
        self,
        server: str | None = None,
        token: str | None = None,
        project: str | None = None,
        channel: grpc.Channel | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        address = server or os.environ.get("ARCHLOOM_SERVER") or DEFAULT_SERVER
        self.server = address
        self.project = project or os.environ.get("ARCHLOOM_PROJECT") or "default"
        home = project_of(self.project)
        self._own_channel = None if channel is not None else open_channel(address)
        self._connection = Connection(
            channel=channel or self._own_channel or open_channel(address),
            server=address,
            token=token or os.environ.get("ARCHLOOM_TOKEN") or None,
            timeout_seconds=timeout_seconds,
        )
        self.experiments = Experiments(self._connection, home)
        self.trials = Trials(self._connection, home)
        self.artifacts = Artifacts(self._connection, home)
        self.spaces = Spaces(self._connection)
        self.registry = Registry(self._connection)

    def close(self) -> None:
        if self._own_channel is not None:
            self._own_channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
