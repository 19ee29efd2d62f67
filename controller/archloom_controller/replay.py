"""Asks the strategy every stored step again, and compares the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from archloom.errors import Unavailable
from archloom.v1 import experiment_pb2, strategy_pb2
from google.protobuf.json_format import MessageToDict

from archloom_controller.engine.asking import Context, inline_state, strip_response
from archloom_controller.engine.frame import Frame
from archloom_controller.engine.parts import Parts
from archloom_controller.interfaces import StrategyFailed, StrategyUnreachable
from archloom_controller.store.layout import Document

_PAGE = 20


async def replay(
    parts: Parts, frame: Frame, experiment: Document
) -> AsyncIterator[experiment_pb2.ReplayExperimentResponse]:
    """One answer a step that asked; the last one has the first difference, if there is one."""
    after = 0
    frames = {frame.revision: frame}
    while page := await parts.store.steps.page(frame.uid, after, _PAGE):
        for record in page:
            after = record["step"]
            request = strategy_pb2.ProposeRequest.FromString(record["request"])
            revision = request.spec.revision
            if revision not in frames:
                frames[revision] = await _frame_at(parts, experiment, revision)
            difference = await _differs(parts, frames[revision], record, request)
            if difference:
                difference += await _builds(parts, record)
            yield experiment_pb2.ReplayExperimentResponse(
                step=after, equal=not difference, difference=difference, steps_total=experiment["step"]
            )
            if difference:
                return


async def _frame_at(parts: Parts, experiment: Document, revision: int) -> Frame:
    spec = await parts.store.experiments.revision(experiment["_id"], revision)
    return Frame.of({**experiment, "spec": spec, "revision": revision})


async def _differs(parts: Parts, frame: Frame, record: Document, request: strategy_pb2.ProposeRequest) -> str:
    stored = strategy_pb2.ProposeResponse.FromString(record["response"])
    spec = frame.spec.strategy
    if record["strategy"] != spec.name:
        spec = frame.spec.fallback
    size = len(await parts.store.steps.state(frame.uid, request.state.digest)) if request.state.digest else 0
    await inline_state(parts, frame.uid, request, size)
    try:
        response = await parts.gateway.propose(record["strategy"], request, Context(parts, frame, spec))
    except StrategyUnreachable as error:
        raise Unavailable(f"step {record['step']} cannot be asked again: {error}") from error
    except StrategyFailed as error:
        return f"answer: stored an answer, now {error}"
    now = strip_response(response)
    if now.SerializeToString(deterministic=True) == record["response"]:
        return ""
    return first_difference(MessageToDict(stored), MessageToDict(now))


async def _builds(parts: Parts, record: Document) -> str:
    """Whether it is the code that gave the stored answer, since only then an equal one is promised."""
    described = await parts.gateway.describe(record["strategy"])
    if described is None or not record.get("build"):
        return ""
    if described.build == record["build"]:
        return f" (by the same build, {described.build})"
    return f" (by another build: {record['build']} then, {described.build} now)"


def first_difference(stored: Any, now: Any, path: str = "") -> str:
    """ "path: stored X, now Y" of the first place where two plain trees differ; empty when they are equal."""
    if isinstance(stored, dict) and isinstance(now, dict):
        for key in sorted(stored.keys() | now.keys()):
            below = f"{path}.{key}" if path else key
            found = first_difference(stored.get(key), now.get(key), below)
            if found:
                return found
        return ""
    if isinstance(stored, list) and isinstance(now, list):
        pairs: Iterable[tuple[Any, Any]] = zip(stored, now, strict=False)
        for index, (one, other) in enumerate(pairs):
            found = first_difference(one, other, f"{path}[{index}]")
            if found:
                return found
        return "" if len(stored) == len(now) else f"{path}: stored {len(stored)} items, now {len(now)}"
    return "" if stored == now else f"{path or 'answer'}: stored {stored!r}, now {now!r}"[:1000]
