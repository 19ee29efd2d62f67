"""ExperimentService: a search from its description to trained, exported models."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import AsyncIterator
from typing import Any

from archloom.errors import AlreadyExists, InvalidInput, NotFound, Violation
from archloom.resources import ExperimentName, ProjectName
from archloom.v1 import experiment_pb2, experiment_pb2_grpc
from archloom.v1.experiment_pb2 import EventKind, ExperimentPhase, ExperimentState
from google.protobuf.json_format import MessageToDict
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from archloom_controller import report
from archloom_controller.convert import event_message, experiment_message, step_message, trial_message
from archloom_controller.engine.asking import listens
from archloom_controller.engine.engine import Engine
from archloom_controller.engine.frame import Frame
from archloom_controller.interfaces import principal
from archloom_controller.replay import replay
from archloom_controller.rpc.caller import broken_rules
from archloom_controller.services.lifecycle import Lifecycle
from archloom_controller.services.paging import page_token, read_token
from archloom_controller.services.snapshots import Snapshots
from archloom_controller.services.watching import watch
from archloom_controller.settings_schema import names_file
from archloom_controller.speccheck import Checked, SpecCheck
from archloom_controller.store.layout import Document

_DEFAULT_PAGE = 50
_LOG_PAGE = 100


class ExperimentServicer(experiment_pb2_grpc.ExperimentServiceServicer):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parts = engine.parts
        self._store = engine.parts.store
        self._check = SpecCheck(engine.parts.gateway, engine.parts.registry)
        self._lifecycle = Lifecycle(engine.parts)
        self._snapshots = Snapshots(engine.parts.store)

    async def CreateExperiment(
        self, request: experiment_pb2.CreateExperimentRequest, context: Any
    ) -> experiment_pb2.CreateExperimentResponse:
        answer = experiment_pb2.CreateExperimentResponse
        # A repeated call is answered as it was, whatever became of the strategy meanwhile.
        known = await self._store.requests.answered(principal.get(), request, answer)
        if known is not None:
            return known
        others, broken = broken_rules("spec")
        try:
            checked = await self._check.check(request.spec, broken)
        except InvalidInput as error:
            faults = [Violation(f"spec.{fault.field}", fault.message) for fault in error.violations]
            raise InvalidInput([*others, *faults]) from None
        if others:
            raise InvalidInput(others)
        parent = ProjectName.parse(request.parent)
        created: list[Document] = []
        name = ExperimentName(parent.project, request.experiment_id or f"e-{secrets.token_hex(5)}")
        now = self._parts.clock.now()

        async def effect(session: AsyncClientSession) -> experiment_pb2.CreateExperimentResponse:
            created.clear()
            experiment = new_experiment(name, checked, self._engine.replica, now)
            await self._store.experiments.insert(experiment, session)
            created.append(experiment)
            return experiment_pb2.CreateExperimentResponse(experiment=experiment_message(experiment))

        try:
            response = await self._store.requests.once(principal.get(), request, answer, effect, now)
        except DuplicateKeyError:
            raise AlreadyExists(f"there is a {name} already") from None
        for experiment in created:
            if experiment["_id"] == response.experiment.uid:
                self._engine.adopt(experiment["_id"], experiment["engine"]["epoch"])
        return response

    async def ValidateExperiment(
        self, request: experiment_pb2.ValidateExperimentRequest, context: Any
    ) -> experiment_pb2.ValidateExperimentResponse:
        others, broken = broken_rules("spec")
        if others:
            raise InvalidInput(others)
        try:
            checked = await self._check.check(request.spec, broken)
        except InvalidInput as error:
            faults = [
                experiment_pb2.FieldViolation(field=fault.field, description=fault.message)
                for fault in error.violations
            ]
            return experiment_pb2.ValidateExperimentResponse(violations=faults)
        return experiment_pb2.ValidateExperimentResponse(resolved_spec=checked.spec)

    async def GetExperiment(
        self, request: experiment_pb2.GetExperimentRequest, context: Any
    ) -> experiment_pb2.GetExperimentResponse:
        experiment = await self._get(request.name)
        return experiment_pb2.GetExperimentResponse(experiment=await self._snapshots.of(experiment))

    async def ListExperiments(
        self, request: experiment_pb2.ListExperimentsRequest, context: Any
    ) -> experiment_pb2.ListExperimentsResponse:
        parent = ProjectName.parse(request.parent)
        size = request.page_size or _DEFAULT_PAGE
        told = read_token("experiments", request.page_token)
        after: tuple[datetime.datetime, str] | None = None
        if told is not None:
            time, _, uid = str(told).partition(" ")
            after = (datetime.datetime.fromisoformat(time), uid)
        rows = await self._store.experiments.page(parent.project, list(request.states), after, size + 1)
        token = ""
        if len(rows) > size:
            last = rows[size - 1]
            token = page_token("experiments", f"{last['create_time'].isoformat()} {last['_id']}")
        return experiment_pb2.ListExperimentsResponse(
            experiments=[await self._snapshots.of(row) for row in rows[:size]], next_page_token=token
        )

    async def UpdateExperiment(
        self, request: experiment_pb2.UpdateExperimentRequest, context: Any
    ) -> experiment_pb2.UpdateExperimentResponse:
        return await self._lifecycle.update(request)

    async def PauseExperiment(
        self, request: experiment_pb2.PauseExperimentRequest, context: Any
    ) -> experiment_pb2.PauseExperimentResponse:
        return await self._lifecycle.pause(request)

    async def ResumeExperiment(
        self, request: experiment_pb2.ResumeExperimentRequest, context: Any
    ) -> experiment_pb2.ResumeExperimentResponse:
        return await self._lifecycle.resume(request)

    async def CancelExperiment(
        self, request: experiment_pb2.CancelExperimentRequest, context: Any
    ) -> experiment_pb2.CancelExperimentResponse:
        return await self._lifecycle.cancel(request)

    async def DeleteExperiment(
        self, request: experiment_pb2.DeleteExperimentRequest, context: Any
    ) -> experiment_pb2.DeleteExperimentResponse:
        return await self._lifecycle.delete(request)

    async def WatchExperiment(
        self, request: experiment_pb2.WatchExperimentRequest, context: Any
    ) -> AsyncIterator[experiment_pb2.WatchExperimentResponse]:
        async for response in watch(self._parts, self._snapshots, request):
            yield response

    async def GetFront(
        self, request: experiment_pb2.GetFrontRequest, context: Any
    ) -> experiment_pb2.GetFrontResponse:
        experiment = await self._get(request.name)
        frame = Frame.of(experiment)
        rows = await report.front(self._store, frame, experiment)
        return experiment_pb2.GetFrontResponse(trials=[trial_message(row, frame.name) for row in rows])

    async def GetReport(
        self, request: experiment_pb2.GetReportRequest, context: Any
    ) -> experiment_pb2.GetReportResponse:
        experiment = await self._get(request.name)
        built = await report.build(self._store, Frame.of(experiment), experiment, self._parts.clock)
        return experiment_pb2.GetReportResponse(report=built)

    async def ListEvents(
        self, request: experiment_pb2.ListEventsRequest, context: Any
    ) -> experiment_pb2.ListEventsResponse:
        experiment = await self._get(request.parent, "parent")
        size = request.page_size or _LOG_PAGE
        after = int(read_token("events", request.page_token) or 0)
        kinds = list(request.kinds)
        rows = await self._store.steps.events(experiment["_id"], after, size + 1, kinds=kinds)
        token = page_token("events", rows[size - 1]["sequence"]) if len(rows) > size else ""
        events = [event_message(row) for row in rows[:size]]
        return experiment_pb2.ListEventsResponse(events=events, next_page_token=token)

    async def ListSteps(
        self, request: experiment_pb2.ListStepsRequest, context: Any
    ) -> experiment_pb2.ListStepsResponse:
        experiment = await self._get(request.parent, "parent")
        size = min(request.page_size or _LOG_PAGE, _LOG_PAGE)
        after = int(read_token("steps", request.page_token) or 0)
        rows = await self._store.steps.page(experiment["_id"], after, size + 1)
        token = page_token("steps", rows[size - 1]["step"]) if len(rows) > size else ""
        name = ExperimentName(experiment["project"], experiment["id"])
        steps = [step_message(row, name) for row in rows[:size]]
        return experiment_pb2.ListStepsResponse(steps=steps, next_page_token=token)

    async def ReplayExperiment(
        self, request: experiment_pb2.ReplayExperimentRequest, context: Any
    ) -> AsyncIterator[experiment_pb2.ReplayExperimentResponse]:
        experiment = await self._get(request.name)
        async for response in replay(self._parts, Frame.of(experiment), experiment):
            yield response

    async def _get(self, name: str, field: str = "name") -> Document:
        parsed = ExperimentName.parse(name, field)
        experiment = await self._store.experiments.by_name(parsed)
        if experiment is None:
            raise NotFound(f"there is no {parsed}")
        return experiment


def new_experiment(name: ExperimentName, checked: Checked, replica: str, now: datetime.datetime) -> Document:
    """The document of a new experiment; the replica that makes it is its first owner."""
    state = ExperimentState.EXPERIMENT_STATE_RUNNING
    phase = ExperimentPhase.EXPERIMENT_PHASE_SEARCH
    made = ("live", "search", "control", "user", "proxies")
    ended = ("completed", "failed", "infeasible", "cancelled", "cache_hits", "scored", "unscored")
    return {
        "_id": secrets.token_hex(10),
        "project": name.project,
        "id": name.experiment,
        "spec": checked.spec.SerializeToString(deterministic=True),
        "revision": 1,
        "change": 0,
        "priority": checked.spec.priority,
        "state": state,
        "phase": phase,
        "open": True,
        "engine": {"replica": replica, "epoch": 1},
        "step": 0,
        "sequence": 0,
        "told": 0,
        "next_trial": 1,
        "counters": {**dict.fromkeys((*made, *ended), 0), "seconds": 0.0, "reserved": 0.0},
        "refused": 0,
        "enqueued": 0,
        "front": [],
        "pending": [{"kind": EventKind.EVENT_KIND_STATE_CHANGED, "state": state, "phase": phase}],
        "strategy": {
            "name": checked.spec.strategy.name,
            "listens": listens(checked.strategy.capabilities),
            "fallback": False,
        },
        "strategy_state": {"digest": "", "version": 0, "size": 0},
        "evaluator": {
            "version": checked.evaluator.version,
            "batched": checked.evaluator.batched,
            "reads_data": bool(checked.evaluator.task_kinds),
            "reads_files": names_file(
                checked.evaluator.settings_schema, MessageToDict(checked.spec.evaluator.settings)
            ),
        },
        "dataset": {"digest": checked.dataset.digest, "classes": checked.dataset.classes},
        "create_time": now,
        "update_time": now,
    }
