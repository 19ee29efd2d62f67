"""RegistryService: what this installation offers."""

from __future__ import annotations

import asyncio
import datetime
from collections import Counter
from typing import Any

from archloom.errors import InvalidInput, NotFound, Violation
from archloom.space import SpaceError, load_preset, preset_names
from archloom.v1 import registry_pb2, registry_pb2_grpc
from pymongo.asynchronous.client_session import AsyncClientSession

from archloom_controller.interfaces import Clock, principal
from archloom_controller.registry import RegistryStore
from archloom_controller.services.paging import page
from archloom_controller.store import Store
from archloom_controller.strategies.gateway import Gateway
from archloom_controller.strategies.plugin import Plugin

#: A worker that says nothing for so long is no longer listed; an idle one tells of itself every ten seconds.
SILENT = datetime.timedelta(seconds=60)


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    def __init__(self, kept: RegistryStore, gateway: Gateway, store: Store, clock: Clock) -> None:
        self._kept = kept
        self._gateway = gateway
        self._presence = store.presence
        self._queues = store.trials.queues
        self._once = store.requests.once
        self._clock = clock

    async def ListStrategies(
        self, request: registry_pb2.ListStrategiesRequest, context: Any
    ) -> registry_pb2.ListStrategiesResponse:
        found = {
            description.name: registry_pb2.Strategy(
                name=f"strategies/{description.name}",
                description=description,
                address=address,
                problem="no plugin of that name is connected to this replica",
            )
            for description, address in await self._kept.strategies()
        }
        for plugin in sorted(self._gateway.plugins(), key=lambda plugin: plugin.serving):
            if plugin.name:
                found[plugin.name] = _strategy(plugin)
        taken, token = page(
            "strategies", list(found.values()), lambda item: item.name, request.page_size, request.page_token
        )
        return registry_pb2.ListStrategiesResponse(strategies=taken, next_page_token=token)

    async def RegisterStrategy(
        self, request: registry_pb2.RegisterStrategyRequest, context: Any
    ) -> registry_pb2.RegisterStrategyResponse:
        async def effect(session: AsyncClientSession) -> registry_pb2.RegisterStrategyResponse:
            plugin = await self._gateway.register(request.address, session)
            return registry_pb2.RegisterStrategyResponse(strategy=_strategy(plugin))

        answer = registry_pb2.RegisterStrategyResponse
        return await self._once(principal.get(), request, answer, effect, self._clock.now())

    async def UnregisterStrategy(
        self, request: registry_pb2.UnregisterStrategyRequest, context: Any
    ) -> registry_pb2.UnregisterStrategyResponse:
        async def effect(session: AsyncClientSession) -> registry_pb2.UnregisterStrategyResponse:
            if not await self._gateway.unregister(request.name.removeprefix("strategies/"), session):
                raise NotFound(f"there is no {request.name}")
            return registry_pb2.UnregisterStrategyResponse()

        answer = registry_pb2.UnregisterStrategyResponse
        return await self._once(principal.get(), request, answer, effect, self._clock.now())

    async def ListSpaces(
        self, request: registry_pb2.ListSpacesRequest, context: Any
    ) -> registry_pb2.ListSpacesResponse:
        taken, token = page(
            "spaces", list(preset_names()), lambda name: name, request.page_size, request.page_token
        )
        summaries = [await asyncio.to_thread(_summary, name) for name in taken]
        return registry_pb2.ListSpacesResponse(spaces=summaries, next_page_token=token)

    async def GetSpace(
        self, request: registry_pb2.GetSpaceRequest, context: Any
    ) -> registry_pb2.GetSpaceResponse:
        name = request.name.removeprefix("spaces/")
        try:
            summary = await asyncio.to_thread(_summary, name)
        except SpaceError as error:
            raise NotFound(error.message) from None
        return registry_pb2.GetSpaceResponse(summary=summary, space=load_preset(name).to_proto())

    async def ListDatasets(
        self, request: registry_pb2.ListDatasetsRequest, context: Any
    ) -> registry_pb2.ListDatasetsResponse:
        found = {item.name: item for told in await self._kept.told() for item in told.datasets}
        taken, token = page(
            "datasets", list(found.values()), lambda item: item.name, request.page_size, request.page_token
        )
        return registry_pb2.ListDatasetsResponse(datasets=taken, next_page_token=token)

    async def ListProxies(
        self, request: registry_pb2.ListProxiesRequest, context: Any
    ) -> registry_pb2.ListProxiesResponse:
        found = {item.name: item for told in await self._kept.told() for item in told.proxies}
        taken, token = page(
            "proxies", list(found.values()), lambda item: item.name, request.page_size, request.page_token
        )
        return registry_pb2.ListProxiesResponse(proxies=taken, next_page_token=token)

    async def ListDevices(
        self, request: registry_pb2.ListDevicesRequest, context: Any
    ) -> registry_pb2.ListDevicesResponse:
        offered = {told.device_class: told for told in await self._kept.told()}
        workers = Counter(row["device_class"] for row in await self._workers())
        ready = {row["_id"]: row["ready"] for row in await self._queues()}
        devices = [
            registry_pb2.Device(
                name=f"devices/{device_class}",
                summary=_offer(offered.get(device_class)),
                workers=workers[device_class],
                ready_trials=ready.get(device_class, 0),
            )
            for device_class in {*offered, *workers, *ready}
        ]
        taken, token = page("devices", devices, lambda item: item.name, request.page_size, request.page_token)
        return registry_pb2.ListDevicesResponse(devices=taken, next_page_token=token)

    async def ListWorkers(
        self, request: registry_pb2.ListWorkersRequest, context: Any
    ) -> registry_pb2.ListWorkersResponse:
        taken, token = page(
            "workers", await self._workers(), lambda row: row["_id"], request.page_size, request.page_token
        )
        workers = [_worker(row) for row in taken]
        return registry_pb2.ListWorkersResponse(workers=workers, next_page_token=token)

    async def RegisterEvaluator(
        self, request: registry_pb2.RegisterEvaluatorRequest, context: Any
    ) -> registry_pb2.RegisterEvaluatorResponse:
        faults = [
            Violation(f"datasets[{index}].name", f"{item.name!r} is not of the form 'datasets/{{name}}'")
            for index, item in enumerate(request.datasets)
            if not item.name.startswith("datasets/")
        ]
        if faults:
            raise InvalidInput(faults)
        await self._kept.keep_evaluators(request)
        return registry_pb2.RegisterEvaluatorResponse()

    async def _workers(self) -> list[dict[str, Any]]:
        """Those that were heard of lately. For people alone: leases are lost by renewal numbers."""
        since = self._clock.now() - SILENT
        return [row for row in await self._presence.workers() if row["heartbeat_time"] >= since]


def _strategy(plugin: Plugin) -> registry_pb2.Strategy:
    return registry_pb2.Strategy(
        name=f"strategies/{plugin.name}",
        description=plugin.description,
        address=plugin.address,
        serving=plugin.serving,
        problem=plugin.problem,
    )


def _summary(preset: str) -> registry_pb2.SpaceSummary:
    space = load_preset(preset)
    return registry_pb2.SpaceSummary(
        name=f"spaces/{preset}",
        summary=space.tree.description,
        size=str(space.size()),
        decisions=len(space.decisions()),
    )


def _offer(told: registry_pb2.RegisterEvaluatorRequest | None) -> str:
    if told is None:
        return "no evaluator has registered"
    return "evaluators: " + ", ".join(sorted(item.kind for item in told.evaluators))


def _worker(row: dict[str, Any]) -> registry_pb2.Worker:
    worker = registry_pb2.Worker(
        name=f"workers/{row['_id']}",
        device_class=row["device_class"],
        labels=dict(row["labels"]),
        attempts=len(row["attempts"]),
        busy_share=row["busy_share"],
    )
    worker.heartbeat_time.FromDatetime(row["heartbeat_time"])
    return worker
