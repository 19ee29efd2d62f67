"""Watch: the event log as it grows."""

from __future__ import annotations

from collections.abc import AsyncIterator

from archloom.errors import InvalidInput, NotFound, Violation
from archloom.resources import ExperimentName
from archloom.v1 import experiment_pb2

from archloom_controller.convert import event_message
from archloom_controller.engine.parts import Parts
from archloom_controller.engine.signals import watch_key
from archloom_controller.services.paging import page_token, read_token
from archloom_controller.services.snapshots import Snapshots
from archloom_controller.store.layout import Document

_PAGE = 500


async def watch(
    parts: Parts, snapshots: Snapshots, request: experiment_pb2.WatchExperimentRequest
) -> AsyncIterator[experiment_pb2.WatchExperimentResponse]:
    """Everything from the token on, and then live; ends when the experiment has, and everything was told.

    A token is (uid, sequence): it holds on every replica and for ever. With a filter it moves on over what
    is left out.
    """
    name = ExperimentName.parse(request.name)
    told_uid, after = _read(request.resume_token)
    experiment = await parts.store.experiments.by_name(name)
    if experiment is None:
        raise NotFound(f"there is no {name}")
    uid: str = experiment["_id"]
    # A log that was pruned, or is another experiment's of the same name, starts over.
    reset = bool(told_uid and told_uid != uid) or (after < experiment.get("pruned", 0) and bool(told_uid))
    after = experiment.get("pruned", 0) if reset or not told_uid else after
    shown: tuple[object, ...] | None = None
    with parts.signals.subscribe(watch_key(uid)) as news:
        while True:
            rows = await parts.store.steps.events(
                uid, after, _PAGE, kinds=list(request.kinds), until=experiment["sequence"]
            )
            after = rows[-1]["sequence"] if len(rows) == _PAGE else max(after, experiment["sequence"])
            status = (experiment["state"], experiment["phase"], bool(experiment.get("degraded")))
            if rows or status != shown or reset:
                response = experiment_pb2.WatchExperimentResponse(
                    events=map(event_message, rows),
                    resume_token=page_token("watch", f"{uid} {after}"),
                    reset=reset,
                )
                if status != shown or reset:
                    response.experiment.CopyFrom(await snapshots.of(experiment))
                shown, reset = status, False
                yield response
            if len(rows) < _PAGE:
                if not experiment["open"] and after >= experiment["sequence"]:
                    return
                await news.wait(parts.settings.poll_seconds)
            experiment = await _again(parts, uid)


async def _again(parts: Parts, uid: str) -> Document:
    experiment = await parts.store.experiments.by_uid(uid)
    if experiment is None or experiment.get("deleting"):
        raise NotFound("the experiment was deleted")
    return experiment


def _read(token: str) -> tuple[str, int]:
    told = read_token("watch", token)
    if told is None:
        return "", 0
    uid, _, sequence = str(told).partition(" ")
    if not sequence.isdigit():
        raise InvalidInput([Violation("resume_token", "is not one that a watch gave")])
    return uid, int(sequence)
