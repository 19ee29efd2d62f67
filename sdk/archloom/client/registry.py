"""What an installation offers: strategies, spaces, data sets, workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.json_format import MessageToDict

from archloom.client.connection import Connection
from archloom.client.values import time_of, word_of
from archloom.space import Space
from archloom.v1 import registry_pb2 as pb
from archloom.v1 import registry_pb2_grpc
from archloom.v1.common_pb2 import Goal
from archloom.v1.strategy_pb2 import StrategyCapabilities


@dataclass(frozen=True)
class StrategyInfo:
    """A registered strategy. `settings_schema` is JSON Schema; `problem` says why it does not serve.

    `max_objectives` is 0 for any number; `abilities` says in words what else it can do.
    """

    name: str
    version: str
    build: str
    summary: str
    address: str
    serving: bool
    problem: str
    max_objectives: int
    abilities: dict[str, bool]
    settings_schema: dict[str, object]


@dataclass(frozen=True)
class SpaceInfo:
    """A space of the registry; `size` is the exact number of architectures."""

    name: str
    summary: str
    size: int
    decisions: int


@dataclass(frozen=True)
class DatasetInfo:
    name: str
    summary: str
    task_kind: str
    shape: tuple[int, ...]
    classes: int
    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class ProxyInfo:
    """A training-free score that workers compute; `goal` says which way it promises a better network."""

    name: str
    summary: str
    goal: str


@dataclass(frozen=True)
class WorkerInfo:
    """A worker process as its last heartbeat told; `busy_share` is of its devices, in [0, 1]."""

    name: str
    device_class: str
    heartbeat_time: datetime | None
    attempts: int
    busy_share: float


class Registry:
    """RegistryService, as far as users read it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = registry_pb2_grpc.RegistryServiceStub(connection.channel)

    def strategies(self) -> Iterator[StrategyInfo]:
        request = pb.ListStrategiesRequest()
        while True:
            answer = self._connection.call(self._stub.ListStrategies, request)
            for each in answer.strategies:
                yield StrategyInfo(
                    name=each.description.name or each.name.rpartition("/")[2],
                    version=each.description.version,
                    build=each.description.build,
                    summary=each.description.summary,
                    address=each.address,
                    serving=each.serving,
                    problem=each.problem,
                    max_objectives=each.description.capabilities.max_objectives,
                    abilities=_abilities(each.description.capabilities),
                    settings_schema=MessageToDict(each.description.settings_schema),
                )
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def spaces(self) -> Iterator[SpaceInfo]:
        request = pb.ListSpacesRequest()
        while True:
            answer = self._connection.call(self._stub.ListSpaces, request)
            for each in answer.spaces:
                name = each.name.rpartition("/")[2]
                yield SpaceInfo(name, each.summary, int(each.size or 0), each.decisions)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def space(self, name: str) -> Space:
        request = pb.GetSpaceRequest(name=f"spaces/{name}")
        return Space.from_proto(self._connection.call(self._stub.GetSpace, request).space)

    def datasets(self) -> Iterator[DatasetInfo]:
        request = pb.ListDatasetsRequest()
        while True:
            answer = self._connection.call(self._stub.ListDatasets, request)
            for each in answer.datasets:
                yield DatasetInfo(
                    name=each.name.rpartition("/")[2],
                    summary=each.summary,
                    task_kind=each.task_kind,
                    shape=tuple(each.shape),
                    classes=each.classes,
                    train=each.splits.train,
                    validation=each.splits.validation,
                    test=each.splits.test,
                )
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def proxies(self) -> Iterator[ProxyInfo]:
        request = pb.ListProxiesRequest()
        while True:
            answer = self._connection.call(self._stub.ListProxies, request)
            for each in answer.proxies:
                name = each.name.rpartition("/")[2]
                yield ProxyInfo(name, each.summary, word_of(Goal, each.goal, "GOAL_"))
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def workers(self) -> Iterator[WorkerInfo]:
        request = pb.ListWorkersRequest()
        while True:
            answer = self._connection.call(self._stub.ListWorkers, request)
            for each in answer.workers:
                yield WorkerInfo(
                    name=each.name.partition("/")[2],
                    device_class=each.device_class,
                    heartbeat_time=time_of(each, "heartbeat_time"),
                    attempts=each.attempts,
                    busy_share=each.busy_share,
                )
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token


def _abilities(able: StrategyCapabilities) -> dict[str, bool]:
    return {
        "constraints": able.constraints,
        "several fidelities": able.multi_fidelity,
        "learning curves": able.curves,
        "continuous decisions": not able.discrete_only,
        "training-free scores": able.proxies,
        "supernets": able.supernet,
    }
