"""TrialService: architectures under evaluation, and their results."""

from __future__ import annotations

import asyncio
from typing import Any

from archloom.errors import InvalidInput, NotFound, Violation, WrongState
from archloom.resources import ExperimentName, TrialName
from archloom.space import Architecture, SpaceError
from archloom.v1 import trial_pb2, trial_pb2_grpc
from archloom.v1.experiment_pb2 import ExperimentPhase, ExperimentState
from archloom.v1.trial_pb2 import TrialOrder
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from archloom_controller.convert import metrics_of, seconds, trial_message
from archloom_controller.engine.engine import Engine
from archloom_controller.engine.frame import Frame
from archloom_controller.engine.frames import Frames
from archloom_controller.engine.signals import owner_key
from archloom_controller.interfaces import principal
from archloom_controller.services.paging import page_token, read_token
from archloom_controller.store.layout import Document

_DEFAULT_PAGE = 100


class TrialServicer(trial_pb2_grpc.TrialServiceServicer):
    def __init__(self, engine: Engine) -> None:
        self._parts = engine.parts
        self._store = engine.parts.store
        self._frames = Frames(engine.parts.store)

    async def GetTrial(self, request: trial_pb2.GetTrialRequest, context: Any) -> trial_pb2.GetTrialResponse:
        name = TrialName.parse(request.name)
        uid = await self._uid(name.parent)
        row = await self._store.trials.get(uid, name.number)
        if row is None:
            raise NotFound(f"there is no {name}")
        return trial_pb2.GetTrialResponse(trial=trial_message(row, name.parent))

    async def ListTrials(
        self, request: trial_pb2.ListTrialsRequest, context: Any
    ) -> trial_pb2.ListTrialsResponse:
        name = ExperimentName.parse(request.parent, "parent")
        uid = await self._uid(name)
        size = request.page_size or _DEFAULT_PAGE
        if request.order == TrialOrder.TRIAL_ORDER_BEST:
            rows, token = await self._best(uid, request, size)
        else:
            rows, token = await self._by_number(uid, request, size)
        return trial_pb2.ListTrialsResponse(
            trials=[trial_message(row, name) for row in rows], next_page_token=token
        )

    async def _by_number(
        self, uid: str, request: trial_pb2.ListTrialsRequest, size: int
    ) -> tuple[list[Document], str]:
        descending = request.order == TrialOrder.TRIAL_ORDER_NUMBER_DESCENDING
        kind = "trials-descending" if descending else "trials"
        after = read_token(kind, request.page_token)
        rows = await self._store.trials.page(
            uid,
            states=list(request.states),
            roles=list(request.roles),
            descending=descending,
            after=None if after is None else int(after),
            limit=size + 1,
        )
        more = len(rows) > size
        return rows[:size], page_token(kind, rows[size - 1]["n"]) if more else ""

    async def _best(
        self, uid: str, request: trial_pb2.ListTrialsRequest, size: int
    ) -> tuple[list[Document], str]:
        if request.states or request.roles:
            field = "states" if request.states else "roles"
            raise InvalidInput(
                [Violation(field, "cannot be given with order BEST: only completed trials have one")]
            )
        after: tuple[float, int] | None = None
        told = read_token("trials-best", request.page_token)
        if told is not None:
            score, _, number = str(told).rpartition(" ")
            after = (float.fromhex(score), int(number))
        rows = await self._store.trials.best(uid, size + 1, after)
        if len(rows) <= size:
            return rows, ""
        last = rows[size - 1]
        return rows[:size], page_token("trials-best", f"{float(last['score']).hex()} {last['n']}")

    async def CancelTrial(
        self, request: trial_pb2.CancelTrialRequest, context: Any
    ) -> trial_pb2.CancelTrialResponse:
        name = TrialName.parse(request.name)
        uid = await self._uid(name.parent)
        now = self._parts.clock.now()

        async def effect(session: AsyncClientSession) -> trial_pb2.CancelTrialResponse:
            row = await self._store.trials.cancel(uid, name.number, now, session)
            if row is None:
                if await self._store.trials.get(uid, name.number) is None:
                    raise NotFound(f"there is no {name}")
                raise WrongState(f"{name} has ended")
            return trial_pb2.CancelTrialResponse(trial=trial_message(row, name.parent))

        response = await self._store.requests.once(
            principal.get(), request, trial_pb2.CancelTrialResponse, effect, now
        )
        self._parts.signals.notify(owner_key(uid))
        return response

    async def EnqueueTrials(
        self, request: trial_pb2.EnqueueTrialsRequest, context: Any
    ) -> trial_pb2.EnqueueTrialsResponse:
        name = ExperimentName.parse(request.parent, "parent")
        uid = await self._uid(name)
        frame = await self._frames.get(uid)
        if frame is None:
            raise NotFound(f"there is no {name}")
        faults = await asyncio.to_thread(_faults, frame, request)
        if faults:
            raise InvalidInput(faults)

        async def effect(session: AsyncClientSession) -> trial_pb2.EnqueueTrialsResponse:
            experiment = await self._store.experiments.by_name(name, session)
            if experiment is None:
                raise NotFound(f"there is no {name}")
            open_states = (ExperimentState.EXPERIMENT_STATE_RUNNING, ExperimentState.EXPERIMENT_STATE_PAUSED)
            searching = experiment["phase"] == ExperimentPhase.EXPERIMENT_PHASE_SEARCH
            if experiment["state"] not in open_states or not searching:
                raise WrongState(f"the search of {name} is over")
            items = [_item(uid, trial) for trial in request.trials]
            await self._store.inbox.put(items, session)
            await self._store.experiments.count_enqueue(uid, session)
            return trial_pb2.EnqueueTrialsResponse(inbox_ids=[str(item["_id"]) for item in items])

        response = await self._store.requests.once(
            principal.get(), request, trial_pb2.EnqueueTrialsResponse, effect, self._parts.clock.now()
        )
        self._parts.signals.notify(owner_key(uid))
        return response

    async def _uid(self, name: ExperimentName) -> str:
        uid = await self._store.experiments.uid(name)
        if uid is None:
            raise NotFound(f"there is no {name}")
        return uid


def _item(uid: str, trial: trial_pb2.EnqueuedTrial) -> Document:
    return {
        "_id": ObjectId(),
        "e": uid,
        "arch": trial.architecture.SerializeToString(deterministic=True),
        "metrics": metrics_of(trial.metrics),
        "seconds": seconds(trial.device_time),
        "note": trial.note,
    }


def _faults(frame: Frame, request: trial_pb2.EnqueueTrialsRequest) -> list[Violation]:
    """What is outside the space, and results without the objectives."""
    faults = []
    for index, trial in enumerate(request.trials):
        where = f"trials[{index}]"
        try:
            found = frame.space.check(Architecture.from_proto(trial.architecture))
        except SpaceError as error:
            found = list(error.violations)
        faults += [
            Violation(f"{where}.architecture.{fault.field}".rstrip("."), fault.message) for fault in found
        ]
        names = {metric.name for metric in trial.metrics}
        missing = [name for name, _ in frame.signs if name not in names]
        if names and missing:
            faults.append(Violation(f"{where}.metrics", f"the result lacks {', '.join(missing)}"))
    return faults
