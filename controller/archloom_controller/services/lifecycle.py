"""Users' changes of an experiment: each is one transaction, and voids the step its owner is making."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from archloom.errors import Conflict, InvalidInput, NotFound, Violation, WrongState
from archloom.resources import ExperimentName
from archloom.v1 import experiment_pb2
from archloom.v1.experiment_pb2 import EventKind, ExperimentPhase, ExperimentState
from google.protobuf.message import Message
from pymongo.asynchronous.client_session import AsyncClientSession

from archloom_controller.convert import experiment_message
from archloom_controller.engine.parts import Parts
from archloom_controller.engine.signals import owner_key, watch_key
from archloom_controller.interfaces import principal
from archloom_controller.rpc.caller import broken_rules
from archloom_controller.speccheck import amounts
from archloom_controller.store.layout import Document

M = TypeVar("M", bound=Message)

OPEN = (ExperimentState.EXPERIMENT_STATE_RUNNING, ExperimentState.EXPERIMENT_STATE_PAUSED)
#: What an update may name, and whether the search must still be on.
UPDATABLE = {
    "budget": True,
    "budget.trials": True,
    "budget.device_seconds": True,
    "budget.proxy_trials": True,
    "parallelism": True,
    "priority": True,
    "labels": False,
    "display_name": False,
}

Effect = Callable[[Document, AsyncClientSession], Awaitable[None]]


class Lifecycle:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store

    async def _change(self, name: ExperimentName, request: Any, answer: type[M], effect: Effect) -> M:
        """Run ``effect`` on the experiment as it stands, once for each request_id, and answer the
        experiment after it.
        """

        async def body(session: AsyncClientSession) -> M:
            experiment = await self._store.experiments.by_name(name, session)
            if experiment is None:
                raise NotFound(f"there is no {name}")
            await effect(experiment, session)
            after = await self._store.experiments.by_name(name, session)
            return answer(experiment=experiment_message(after or experiment))

        now = self._parts.clock.now()
        response = await self._store.requests.once(principal.get(), request, answer, body, now)
        uid: str = response.experiment.uid  # type: ignore[attr-defined]
        self._parts.signals.notify(owner_key(uid))
        self._parts.signals.notify(watch_key(uid))
        return response

    async def _set_state(
        self, experiment: Document, state: ExperimentState.ValueType, reason: str, session: AsyncClientSession
    ) -> None:
        now = self._parts.clock.now()
        fields: Document = {"state": state, "state_reason": reason, "update_time": now}
        if state not in OPEN:
            fields["end_time"] = now
        pending = {"kind": EventKind.EVENT_KIND_STATE_CHANGED, "state": state, "message": reason}
        await self._apply(experiment, {"$set": fields, "$push": {"pending": pending}}, session)

    async def _apply(self, experiment: Document, update: Document, session: AsyncClientSession) -> None:
        changed = await self._store.experiments.change(
            experiment["_id"], experiment["change"], update, session
        )
        if not changed:
            raise Conflict("the experiment was changed by another call at the same time; try again")

    async def pause(
        self, request: experiment_pb2.PauseExperimentRequest
    ) -> experiment_pb2.PauseExperimentResponse:
        async def effect(experiment: Document, session: AsyncClientSession) -> None:
            if experiment["state"] == ExperimentState.EXPERIMENT_STATE_PAUSED:
                return
            _require_open(experiment)
            await self._set_state(experiment, ExperimentState.EXPERIMENT_STATE_PAUSED, "", session)
            await self._store.experiments.hold(experiment["_id"], True, session)

        name = ExperimentName.parse(request.name)
        return await self._change(name, request, experiment_pb2.PauseExperimentResponse, effect)

    async def resume(
        self, request: experiment_pb2.ResumeExperimentRequest
    ) -> experiment_pb2.ResumeExperimentResponse:
        async def effect(experiment: Document, session: AsyncClientSession) -> None:
            if experiment["state"] == ExperimentState.EXPERIMENT_STATE_RUNNING:
                return
            _require_open(experiment)
            await self._set_state(experiment, ExperimentState.EXPERIMENT_STATE_RUNNING, "", session)
            await self._store.experiments.hold(experiment["_id"], False, session)

        name = ExperimentName.parse(request.name)
        response = await self._change(name, request, experiment_pb2.ResumeExperimentResponse, effect)
        # Once more: a trial that came back while the transaction ran was set aside, and is not in its view.
        await self._store.experiments.hold(response.experiment.uid, False)
        return response

    async def cancel(
        self, request: experiment_pb2.CancelExperimentRequest
    ) -> experiment_pb2.CancelExperimentResponse:
        async def effect(experiment: Document, session: AsyncClientSession) -> None:
            if experiment["state"] == ExperimentState.EXPERIMENT_STATE_CANCELLED:
                return
            _require_open(experiment)
            state = ExperimentState.EXPERIMENT_STATE_CANCELLED
            await self._set_state(experiment, state, request.reason, session)

        name = ExperimentName.parse(request.name)
        return await self._change(name, request, experiment_pb2.CancelExperimentResponse, effect)

    async def update(
        self, request: experiment_pb2.UpdateExperimentRequest
    ) -> experiment_pb2.UpdateExperimentResponse:
        paths = list(request.update_mask.paths)
        unknown = [path for path in paths if path not in UPDATABLE]
        if unknown or not paths:
            message = f"can name {', '.join(UPDATABLE)}; not {', '.join(map(repr, unknown)) or 'nothing'}"
            raise InvalidInput([Violation("update_mask", message)])
        others, broken = broken_rules("spec")
        faults = [*others, *(Violation(f"spec.{each.field}", each.message) for each in named(broken, paths))]
        if faults:
            raise InvalidInput(faults)

        async def effect(experiment: Document, session: AsyncClientSession) -> None:
            if request.etag and request.etag != str(experiment["change"]):
                raise Conflict("the experiment has changed since it was read; read it again")
            if any(UPDATABLE[path] for path in paths):
                _require_open(experiment)
            await self._revise(experiment, request, paths, session)

        name = ExperimentName.parse(request.name)
        return await self._change(name, request, experiment_pb2.UpdateExperimentResponse, effect)

    async def _revise(
        self,
        experiment: Document,
        request: experiment_pb2.UpdateExperimentRequest,
        paths: list[str],
        session: AsyncClientSession,
    ) -> None:
        spec = experiment_pb2.ExperimentSpec.FromString(experiment["spec"])
        for path in paths:
            _copy(request.spec, spec, path)
        faults = [Violation(f"spec.{fault.field}", fault.message) for fault in amounts(spec)]
        faults += _budget_faults(experiment, spec, paths)
        if faults:
            raise InvalidInput(faults)
        revision = experiment["revision"] + 1
        data = spec.SerializeToString(deterministic=True)
        fields = {
            "spec": data,
            "revision": revision,
            "priority": spec.priority,
            "update_time": self._parts.clock.now(),
        }
        pending = {"kind": EventKind.EVENT_KIND_SPEC_UPDATED, "message": f"{', '.join(paths)} changed"}
        await self._apply(experiment, {"$set": fields, "$push": {"pending": pending}}, session)
        await self._store.experiments.keep_revision(experiment["_id"], revision, data, session)
        if "priority" in paths:
            await self._store.experiments.reprioritise(experiment["_id"], spec.priority, session)

    async def delete(
        self, request: experiment_pb2.DeleteExperimentRequest
    ) -> experiment_pb2.DeleteExperimentResponse:
        name = ExperimentName.parse(request.name)
        marked: list[str] = []

        async def body(session: AsyncClientSession) -> experiment_pb2.DeleteExperimentResponse:
            marked.clear()
            experiment = await self._store.experiments.by_name(name, session)
            if experiment is None:
                raise NotFound(f"there is no {name}")
            if request.etag and request.etag != str(experiment["change"]):
                raise Conflict("the experiment has changed since it was read; read it again")
            if experiment["state"] in OPEN:
                raise WrongState(f"{name} has not ended; cancel it first")
            await self._apply(experiment, {"$set": {"deleting": True, "open": False}}, session)
            marked.append(experiment["_id"])
            return experiment_pb2.DeleteExperimentResponse()

        now = self._parts.clock.now()
        answer = experiment_pb2.DeleteExperimentResponse
        response = await self._store.requests.once(principal.get(), request, answer, body, now)
        for uid in marked:
            # From here on nobody sees it; what a crash leaves is deleted by the next replica that looks.
            await self._store.experiments.delete(uid)
        return response


def named(faults: Sequence[Violation], paths: Sequence[str]) -> list[Violation]:
    """The faults of fields that an update names; the rest of the spec it brings is not read."""
    return [
        fault
        for fault in faults
        if any(
            fault.field == path
            or fault.field.startswith((f"{path}.", f"{path}["))
            # A rule on a message ("budget is required") is broken for every field in it.
            or path.startswith(f"{fault.field}.")
            for path in paths
        )
    ]


def _require_open(experiment: Document) -> None:
    if experiment["state"] not in OPEN:
        state = ExperimentState.Name(ExperimentState.ValueType(experiment["state"]))
        words = state.removeprefix("EXPERIMENT_STATE_").lower()
        raise WrongState(f"the experiment has ended ({words})")


def _copy(source: experiment_pb2.ExperimentSpec, target: experiment_pb2.ExperimentSpec, path: str) -> None:
    if path == "labels":
        target.labels.clear()
        target.labels.update(source.labels)
    elif path == "budget":
        proxy_trials = target.budget.proxy_trials
        target.budget.CopyFrom(source.budget)
        if not source.budget.HasField("proxy_trials"):
            target.budget.proxy_trials = proxy_trials
    elif path == "budget.trials":
        target.budget.trials = source.budget.trials
    elif path == "budget.device_seconds":
        target.budget.device_seconds = source.budget.device_seconds
    elif path == "budget.proxy_trials":
        target.budget.proxy_trials = source.budget.proxy_trials
    elif path == "parallelism":
        target.parallelism = source.parallelism
    elif path == "priority":
        target.priority = source.priority
    else:
        target.display_name = source.display_name


def _budget_faults(
    experiment: Document, spec: experiment_pb2.ExperimentSpec, paths: list[str]
) -> list[Violation]:
    """A budget cannot be less than what is spent, and means nothing once the search is over."""
    if not any(path.startswith("budget") for path in paths):
        return []
    if experiment["phase"] != ExperimentPhase.EXPERIMENT_PHASE_SEARCH:
        return [Violation("spec.budget", "the search is over: its budget cannot be changed")]
    counters = experiment["counters"]
    spent = counters["search"] + counters["control"] + counters["user"]
    faults = []
    if spec.budget.trials < spent:
        faults.append(Violation("spec.budget.trials", f"is less than the {spent} trials that were made"))
    if spec.budget.proxy_trials < counters["proxies"]:
        message = f"is less than the {counters['proxies']} proxy trials that were made"
        faults.append(Violation("spec.budget.proxy_trials", message))
    charged = counters["seconds"] + counters["reserved"]
    if 0 < spec.budget.device_seconds < charged:
        message = f"is less than the {charged:g} device seconds that are charged"
        faults.append(Violation("spec.budget.device_seconds", message))
    return faults
