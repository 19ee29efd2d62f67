"""One step in the making: events, counters and new trials, gathered until they are written whole.

A draft reads the experiment's document and what the owner hands it, and touches nothing else; a draft that
is dropped has no effect.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from archloom.v1 import trial_pb2
from archloom.v1.experiment_pb2 import EventKind
from archloom.v1.trial_pb2 import TrialRole, TrialState

from archloom_controller.convert import TOLD_ROLES, trial_message
from archloom_controller.engine.accounts import Accounts
from archloom_controller.engine.frame import SEARCH_ROLES, Frame, proxies_of
from archloom_controller.engine.front import extend
from archloom_controller.engine.vetting import Vetted
from archloom_controller.store.layout import (
    CANCELLED,
    COMPLETED,
    ENDED,
    FAILED,
    INFEASIBLE,
    JOINED,
    READY,
    Document,
    event_id,
    trial_id,
)
from archloom_controller.store.steps import StepWrite

_END_EVENT = {
    COMPLETED: (EventKind.EVENT_KIND_TRIAL_FINISHED, "completed"),
    INFEASIBLE: (EventKind.EVENT_KIND_TRIAL_INFEASIBLE, "infeasible"),
    FAILED: (EventKind.EVENT_KIND_TRIAL_FAILED, "failed"),
    CANCELLED: (EventKind.EVENT_KIND_TRIAL_CANCELLED, "cancelled"),
}
_CHARGED = {
    TrialRole.TRIAL_ROLE_SEARCH: "search",
    TrialRole.TRIAL_ROLE_CONTROL: "control",
    TrialRole.TRIAL_ROLE_USER: "user",
}


class Draft(Accounts):
    def __init__(self, frame: Frame, experiment: Document, max_attempts: int, stall_seconds: float) -> None:
        super().__init__(frame, dict(experiment["counters"]))
        self.experiment = experiment
        self._max_attempts = frame.spec.trial.max_attempts or max_attempts
        self._stall_seconds = stall_seconds
        self.front: list[tuple[int, tuple[float, ...]]] = [
            (number, tuple(values)) for number, values in experiment["front"]
        ]
        self.fields: Document = {}
        self.sequence: int = experiment["sequence"]
        self.next_trial: int = experiment["next_trial"]
        #: New trials that wait for a worker.
        self.ready = 0
        self._made: dict[str, Document] = {}
        #: Whether nothing that users enqueued is left behind by this step.
        self.inbox_read = False
        #: Trials whose end this step sequences, for metrics.
        self.ends: list[Document] = []
        self.write = StepWrite(
            uid=frame.uid,
            replica=experiment["engine"]["replica"],
            epoch=experiment["engine"]["epoch"],
            step=experiment["step"] + 1,
            change=experiment["change"],
            now=experiment["update_time"],
        )

    def begin(self, now: datetime.datetime) -> None:
        self.write.now = now

    @property
    def step(self) -> int:
        return self.write.step

    @property
    def empty(self) -> bool:
        """Whether there is nothing worth a transaction."""
        write = self.write
        changed = self.fields or write.events or write.measured or write.joined or write.stopped
        return not (changed or write.inbox or write.record)

    def event(
        self,
        kind: EventKind.ValueType,
        *,
        message: str = "",
        trial: trial_pb2.Trial | None = None,
        told: bool = False,
        **more: int,
    ) -> None:
        """Add a line to the log; ``told`` marks what the strategy is told of."""
        self.sequence += 1
        row: Document = {
            "_id": event_id(self.frame.uid, self.sequence),
            "sequence": self.sequence,
            "kind": int(kind),
            "time": self.write.now,
            "step": self.step,
            **more,
        }
        if message:
            row["message"] = message
        if trial is not None:
            row["trial"] = trial.SerializeToString()
        if told:
            row["told"] = True
        self.write.events.append(row)

    def about(self, row: Document, kind: EventKind.ValueType, points: Sequence[Document] = ()) -> None:
        """An event about a trial, as it stands; ``points`` are the news of its curve."""
        message = trial_message(row, self.frame.name, points=points)
        self.event(kind, trial=message, told=row["role"] in TOLD_ROLES)

    # What came in

    def take_pending(self) -> None:
        """Users' changes of the experiment, in their order."""
        pending = self.experiment["pending"]
        for change in pending:
            self.event(
                change["kind"],
                message=change.get("message", ""),
                **{name: change[name] for name in ("state", "phase") if name in change},
            )
        if pending:
            self.fields["pending"] = []

    def take_changes(self, dirty: Sequence[Document], followers: Sequence[Document]) -> None:
        """New measurements and ends of trials, and what follows for the trials that wait for them."""
        waiting: dict[str, list[Document]] = {}
        for row in followers:
            waiting.setdefault(row["leader"], []).append(row)
        for row in dirty:
            news = row.get("curve", [])[row.get("told", 0) :]
            if news:
                self.about(row, EventKind.EVENT_KIND_TRIAL_MEASURED, news)
            if row["state"] in ENDED:
                self.end(row)
                self.write.ended.append(row["_id"])
                for follower in waiting.get(row["_id"], ()):
                    self._follow(follower, row)
            else:
                self.write.measured.append((row["_id"], row["rev"], len(row.get("curve", []))))

    def end(self, row: Document) -> None:
        """Sequence the end of a trial: event, counters, what it cost, and its place on the front."""
        kind, counter = _END_EVENT[row["state"]]
        self.about(row, kind)
        self.ends.append(row)
        if proxies_of(row["fidelity"]):
            counter = "scored" if row["state"] == COMPLETED else "unscored"
        self.counters[counter] += 1
        self.counters["live"] -= 1
        if row["role"] in SEARCH_ROLES:
            # The reservation bounds the charge: workers enforce max_duration, and what they overrun it by
            # is not budget.
            reserved = row["reserved"]
            free = row.get("cache_hit") or row.get("reported")
            spent = 0.0 if free else row["device_seconds"]
            self.counters["reserved"] -= reserved
            self.counters["seconds"] += min(spent, reserved) if reserved else spent
        if "score" in row and row["role"] in SEARCH_ROLES and not row.get("reported"):
            values = tuple(sign * row["metrics"][name] for name, sign in self.frame.signs)
            self.front = extend(self.front, row["n"], values)

    def _follow(self, follower: Document, leader: Document) -> None:
        """A joined trial gets its leader's result, or is evaluated itself when there is none."""
        if follower["state"] != JOINED:
            return
        if leader["state"] in (COMPLETED, INFEASIBLE):
            copied = ("state", "metrics", "score", "device_seconds", "checkpoint")
            fields: Document = {name: leader[name] for name in copied if name in leader}
            fields |= {"cache_hit": True, "end_time": self.write.now}
            self._count_hit(follower)
            self.end({**follower, **fields})
            self.write.joined.append((follower["_id"], {"$set": fields, "$unset": {"leader": ""}}))
        else:
            fields = {"state": READY, "ready_time": self.write.now}
            self.ready += 1
            self.write.joined.append((follower["_id"], {"$set": fields, "$unset": {"leader": ""}}))

    def _count_hit(self, row: Document) -> None:
        """What a proxy trial would have cost is not worth telling."""
        if not proxies_of(row["fidelity"]):
            self.counters["cache_hits"] += 1

    # What is made

    def repeat_keys(self) -> set[str]:
        """Of what this step makes: the store does not know them yet."""
        return {row["dup_key"] for row in self.write.created if "dup_key" in row}

    def refuse(
        self,
        vetted: bytes,
        reason: str,
        *,
        role: TrialRole.ValueType,
        ordinal: int = 0,
        fidelity: bytes | None = None,
    ) -> None:
        """A proposal that becomes no trial."""
        message = trial_pb2.Trial(role=role, step=self.step, ordinal=ordinal)
        message.architecture.ParseFromString(vetted)
        message.fidelity.ParseFromString(self.frame.full_fidelity if fidelity is None else fidelity)
        self.event(
            EventKind.EVENT_KIND_PROPOSAL_REFUSED,
            message=reason[:1000],
            trial=message,
            told=role in TOLD_ROLES,
        )

    def create(
        self,
        vetted: Vetted,
        role: TrialRole.ValueType,
        *,
        seed: int,
        fidelity: bytes | None = None,
        known: Document | None = None,
        **more: Any,
    ) -> Document:
        """Make a trial. ``known`` is a trial whose equal result answers it, now or when it has ended."""
        row = self._new(vetted, role, seed=seed, fidelity=fidelity, **more)
        if "cache_key" in row:
            # The store does not know yet what this very step makes.
            known = known or self._made.get(row["cache_key"])
            self._made.setdefault(row["cache_key"], row)
        self.counters["live"] += 1
        self.counters["reserved"] += row["reserved"]
        if proxies_of(row["fidelity"]):
            self.counters["proxies"] += 1
        elif role in _CHARGED:
            self.counters[_CHARGED[role]] += 1
        self._place(row, known)
        self.write.created.append(row)
        return row

    def _new(
        self,
        vetted: Vetted,
        role: TrialRole.ValueType,
        *,
        seed: int,
        fidelity: bytes | None = None,
        **more: Any,
    ) -> Document:
        number = self.next_trial
        self.next_trial += 1
        fidelity = self.frame.full_fidelity if fidelity is None else fidelity
        scored = bool(proxies_of(fidelity))
        return {
            "_id": trial_id(self.frame.uid, number),
            "e": self.frame.uid,
            "n": number,
            "state": READY,
            "held": False,
            "role": int(role),
            "device_class": self.frame.spec.evaluator.device_class,
            "kind": self.frame.spec.evaluator.kind,
            "batched": self.frame.batched or scored,
            "scored": scored,
            "needs": self.frame.needs,
            "priority": self.experiment["priority"],
            "arch": vetted.architecture,
            "graph": vetted.graph,
            "fidelity": fidelity,
            "seed": seed,
            "attempt": 0,
            "spent": 0,
            "max_attempts": self._max_attempts,
            "max_seconds": self.frame.max_seconds,
            "stall_seconds": self._stall_seconds,
            "device_seconds": 0.0,
            "reserved": self.frame.max_seconds if role in SEARCH_ROLES else 0.0,
            "rev": 0,
            "told": 0,
            "step": self.step,
            "create_time": self.write.now,
            "ready_time": self.write.now,
            **more,
        }

    def create_reported(self, vetted: Vetted, item: Document, **more: Any) -> None:
        """A trial that a user brings with its result: it costs nothing, and never enters cache, front or
        finalists.
        """
        row = self._new(vetted, TrialRole.TRIAL_ROLE_USER, seed=self.frame.spec.seed, reported=True, **more)
        row["reserved"] = 0.0
        self.counters["live"] += 1
        self.about(row, EventKind.EVENT_KIND_TRIAL_CREATED)
        self.answer(row, item["metrics"], item["seconds"])
        row.pop("score", None)
        self.end(row)
        self.write.created.append(row)

    def _place(self, row: Document, known: Document | None) -> None:
        """Ready, joined to an equal trial, or completed at once by an equal result."""
        if known is not None and known["state"] == COMPLETED:
            self.about(row, EventKind.EVENT_KIND_TRIAL_CREATED)
            self.answer(row, known["metrics"], known["device_seconds"])
            row["cache_hit"] = True
            if "checkpoint" in known:  # a promotion goes on from it
                row["checkpoint"] = known["checkpoint"]
            self._count_hit(row)
            self.end(row)
            return
        if known is not None:
            row["state"] = JOINED
            row["leader"] = known["_id"]
        else:
            self.ready += 1
        self.about(row, EventKind.EVENT_KIND_TRIAL_CREATED)

    def answer(self, row: Document, metrics: dict[str, float], device_seconds: float) -> None:
        """Give a new trial a result that is known already."""
        judgement = self.frame.judge(metrics, row["role"], row["fidelity"])
        row |= {
            "state": judgement.state,
            "metrics": dict(metrics),
            "device_seconds": device_seconds,
            "end_time": self.write.now,
        }
        if judgement.failure is not None:
            row["failure"] = judgement.failure
        if judgement.state == COMPLETED and row["fidelity"] == self.frame.full_fidelity:
            row["score"] = judgement.values[0]

    # The experiment itself

    def enter(self, phase: int, message: str = "") -> None:
        self.fields["phase"] = phase
        self.event(EventKind.EVENT_KIND_PHASE_CHANGED, message=message, phase=phase)

    def change_state(self, state: int, reason: str = "") -> None:
        """The experiment's end, by itself; with nothing left to end or to read it is closed at once."""
        self.fields |= {"state": state, "end_time": self.write.now, "state_reason": reason}
        self.event(EventKind.EVENT_KIND_STATE_CHANGED, message=reason, state=state)
        if self.inbox_read and self.counters["live"] == 0:
            self.close()

    def close(self) -> None:
        """This is the last step, unless users enqueued more since the inbox was read: then it is void."""
        self.fields["open"] = False
        self.write.enqueued = self.experiment["enqueued"]

    def degrade(self, reason: str) -> None:
        """The strategy cannot be used now."""
        self.fields["degraded"] = {"reason": reason[:1000], "time": self.write.now}
        self.event(EventKind.EVENT_KIND_DEGRADED, message=reason[:1000])

    def recover(self) -> None:
        """The strategy answers again, if it did not before."""
        if self.experiment.get("degraded"):
            self.fields["degraded"] = {}
            self.event(EventKind.EVENT_KIND_RECOVERED)

    def finish(self) -> StepWrite:
        """The step as it is to be written."""
        self.write.fields = {
            **self.fields,
            "counters": self.counters,
            "front": [[number, list(values)] for number, values in self.front],
            "sequence": self.sequence,
            "next_trial": self.next_trial,
        }
        return self.write


def state_name(state: int) -> str:
    return TrialState.Name(TrialState.ValueType(state)).removeprefix("TRIAL_STATE_").lower()
