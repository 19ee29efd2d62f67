"""One experiment's engine: turn after turn, each at most one step."""

from __future__ import annotations

import asyncio
import enum
import hashlib
import logging
from collections import Counter

from archloom.v1.common_pb2 import FailureReason
from archloom.v1.experiment_pb2 import EventKind, ExperimentPhase, ExperimentState
from archloom.v1.trial_pb2 import TrialRole

from archloom_controller.engine import controls, finale
from archloom_controller.engine.asking import Answer, Asking, current_strategy, stripped
from archloom_controller.engine.dispatch import Dispatcher
from archloom_controller.engine.draft import Draft
from archloom_controller.engine.frame import Frame
from archloom_controller.engine.parts import Parts
from archloom_controller.engine.proposals import accept, add_controls, take_inbox
from archloom_controller.engine.signals import owner_key, queue_key, watch_key
from archloom_controller.engine.vetting import Vetting
from archloom_controller.store import StepChanged, StepLost
from archloom_controller.store.layout import CANCELLED, ENDED, Document, trial_id

log = logging.getLogger(__name__)

_MAX_CONTROLS = 64
#: Turns that fail in a row before the experiment says so.
_TRIES = 3


class Turn(enum.Enum):
    #: A step was written: there may be more to do.
    AGAIN = enum.auto()
    #: Nothing to do until something happens.
    IDLE = enum.auto()
    #: The experiment has ended and every trial is accounted for, or another replica owns it.
    OVER = enum.auto()


def strategy_needed(experiment: Document) -> str:
    """The name of the strategy that proposes for it; empty once its search is over."""
    searches = experiment["phase"] == ExperimentPhase.EXPERIMENT_PHASE_SEARCH
    return str(experiment["strategy"].get("name", "")) if searches else ""


class Owner:
    """Runs one experiment while this replica owns it at ``epoch``.

    Everything it keeps between turns is a cache: each turn reads the experiment and makes a draft from it,
    and the draft's one transaction holds only while {owner, epoch, step, change} are what was read. So an
    owner that was stopped for long, or raced by a user's change, has no effect.
    """

    def __init__(self, parts: Parts, dispatcher: Dispatcher, uid: str, epoch: int) -> None:
        self._parts = parts
        self._dispatcher = dispatcher
        self.uid = uid
        self.epoch = epoch
        self.degraded = False
        #: The strategy that the experiment needs, if it needs one still.
        self.strategy = ""
        self._asking = Asking(parts, uid)
        self._frame: Frame | None = None
        self._vetting: Vetting | None = None

    async def run(self) -> None:
        """Until the experiment is over or lost. Database errors are logged and tried again."""
        settings = self._parts.settings
        failed = 0
        with self._parts.signals.subscribe(owner_key(self.uid)) as changes:
            while True:
                try:
                    turn = await self.turn()
                    failed = 0
                except StepLost:
                    return
                except StepChanged:
                    continue
                except Exception as error:
                    log.exception("experiment %s: a step failed; it is tried again", self.uid)
                    turn = Turn.IDLE
                    failed += 1
                    if failed >= _TRIES:
                        await self._admit(error)
                if turn is Turn.OVER:
                    return
                if turn is Turn.IDLE:
                    pause = self._asking.pause_seconds()
                    await changes.wait(min(settings.poll_seconds, pause or settings.poll_seconds))
                await asyncio.sleep(settings.step_interval_seconds)

    async def turn(self) -> Turn:
        """One turn: at most one step is written."""
        started = self._parts.clock.monotonic()
        experiment = await self._read()
        if experiment is None:
            return Turn.OVER
        frame, vetting = self._frame, self._vetting
        assert frame is not None
        assert vetting is not None
        await self._asking.load(experiment)
        draft = self._begin(frame, experiment)
        await self._take_changes(draft)
        answer: Answer | None = None
        if experiment["state"] == ExperimentState.EXPERIMENT_STATE_RUNNING:
            answer = await self._advance(draft, vetting)
        elif experiment["state"] != ExperimentState.EXPERIMENT_STATE_PAUSED and await self._wind_down(draft):
            return Turn.AGAIN
        if draft.empty:
            return Turn.OVER if not experiment["open"] else Turn.IDLE
        await self._commit(experiment, draft, answer)
        self._parts.metrics.step(self._parts.clock.monotonic() - started)
        return Turn.AGAIN

    def _begin(self, frame: Frame, experiment: Document) -> Draft:
        settings = self._parts.settings
        stall = frame.spec.trial.stall_timeout.ToTimedelta().total_seconds() or settings.stall_seconds
        draft = Draft(frame, experiment, settings.max_attempts, stall)
        draft.begin(self._parts.clock.now())
        return draft

    async def _admit(self, error: Exception) -> None:
        """Steps fail again and again: say so in one that does nothing else."""
        try:
            experiment = await self._read()
            if experiment is None or self._frame is None or self.degraded:
                return
            draft = self._begin(self._frame, experiment)
            draft.degrade(f"its steps fail ({type(error).__name__}); the controller's log says why")
            await self._parts.store.steps.commit(draft.finish())
        except Exception as failure:
            log.warning("experiment %s: that its steps fail was not written: %s", self.uid, failure)
            return
        self._announce(draft)

    async def _read(self) -> Document | None:
        experiment = await self._parts.store.experiments.by_uid(self.uid, with_spec=self._frame is None)
        mine = {"replica": self._parts.replica, "epoch": self.epoch}
        if experiment is None or experiment["engine"] != mine or not experiment["open"]:
            return None
        if self._frame is None or self._frame.revision != experiment["revision"]:
            whole = await self._parts.store.experiments.by_uid(self.uid)
            if whole is None:
                return None
            frame = Frame.of(whole)
            # The space is compiled on first use: not on the event loop.
            await asyncio.to_thread(lambda: frame.space.digest)
            self._frame, self._vetting = frame, Vetting(frame)
            experiment = whole
        self.degraded = bool(experiment.get("degraded"))
        self.strategy = strategy_needed(experiment)
        return experiment

    async def _take_changes(self, draft: Draft) -> None:
        """What happened since the last step: users' changes, measurements, ends."""
        draft.take_pending()
        dirty = await self._parts.store.trials.dirty(self.uid, self._parts.settings.step_trials)
        followers: list[Document] = []
        if draft.frame.spec.evaluator.cache:
            ended = [row["_id"] for row in dirty if row["state"] in ENDED]
            followers = await self._parts.store.trials.followers(ended)
        draft.take_changes(dirty, followers)

    async def _wind_down(self, draft: Draft) -> bool:
        """The experiment has ended: end what still runs, then let go of it. Whether there may be more to
        do.
        """
        if draft.counters["live"] > 0:
            limit = self._parts.settings.step_trials
            now = self._parts.clock.now()
            return await self._parts.store.trials.cancel_live(self.uid, limit, now) > 0 and draft.empty
        assert self._vetting is not None
        if await take_inbox(self._parts, draft, self._vetting, searching=False):
            draft.close()
        return False

    async def _advance(self, draft: Draft, vetting: Vetting) -> Answer | None:
        """What the phase asks for next."""
        phase = draft.experiment["phase"]
        store = self._parts.store
        if phase == ExperimentPhase.EXPERIMENT_PHASE_SEARCH:
            return await self._search(draft, vetting)
        # No strategy is asked any more.
        draft.recover()
        draft.inbox_read = await take_inbox(self._parts, draft, vetting, searching=False)
        if phase == ExperimentPhase.EXPERIMENT_PHASE_FINALISTS:
            await finale.train_finalists(draft, store)
        elif phase == ExperimentPhase.EXPERIMENT_PHASE_TEST:
            await finale.open_test(draft, store)
        elif phase == ExperimentPhase.EXPERIMENT_PHASE_EXPORT:
            await finale.export_winner(draft, store)
        return None

    async def _search(self, draft: Draft, vetting: Vetting) -> Answer | None:
        draft.inbox_read = await take_inbox(self._parts, draft, vetting, searching=True)
        await self._make_controls(draft, vetting)
        answer = None
        if not draft.experiment.get("exhausted"):
            answer = await self._ask(draft, vetting)
        await self._make_controls(draft, vetting)
        # Finalists are chosen from the store, which does not know yet what this step ends at its creation.
        unread = draft.write.created or draft.write.joined
        if draft.inbox_read and not unread and self._search_is_over(draft):
            await finale.open_finale(draft, self._parts.store)
        return answer

    async def _make_controls(self, draft: Draft, vetting: Vetting) -> None:
        count = min(draft.controls_left(), draft.room, _MAX_CONTROLS)
        if count < 1 or draft.experiment.get("controls_over") or draft.fields.get("controls_over"):
            return
        drawn = await controls.draw(draft, vetting, self._parts.store, count)
        await add_controls(self._parts, draft, drawn)
        if len(drawn) < count:
            draft.fields["controls_over"] = True

    async def _ask(self, draft: Draft, vetting: Vetting) -> Answer | None:
        experiment = draft.experiment
        strategy = experiment["strategy"]
        count = self._wanted(draft)
        if self._asking.stuck(draft, count):
            self._asking.complain(draft)
            return None
        await self._asking.fall_back(draft)
        if "strategy" in draft.fields:
            return None
        answer = await self._asking.ask(draft, count, listens=strategy["listens"])
        if answer is None:
            return None
        response = answer.response
        if response.HasField("exhausted"):
            draft.fields["exhausted"] = (
                response.exhausted.reason or "the strategy has nothing left to propose"
            )
        if response.HasField("state"):
            data = response.state.data
            digest = hashlib.sha256(data).hexdigest()
            await self._parts.store.steps.keep_state(self.uid, digest, data)
            draft.fields["strategy_state"] = {
                "digest": digest,
                "version": response.state.version,
                "size": len(data),
            }
        if response.proposals.proposals:
            await accept(self._parts, draft, vetting, response.proposals.proposals)
        await self._stop(draft, list(response.stop))
        return answer

    async def _stop(self, draft: Draft, numbers: list[int]) -> None:
        """End trials early; the strategy's own, and users', never controls."""
        if not numbers:
            return
        rows = await self._parts.store.trials.many(self.uid, numbers)
        roles = (TrialRole.TRIAL_ROLE_SEARCH, TrialRole.TRIAL_ROLE_USER)
        draft.write.stopped = [trial_id(self.uid, n) for n, row in rows.items() if row["role"] in roles]

    def _wanted(self, draft: Draft) -> int:
        """How many proposals to ask for, so that they and the controls due beside them fit into the room."""
        frame, searched, made = draft.frame, draft.searched(), draft.counters["control"]
        room = min(draft.room, self._parts.settings.step_trials)
        count = max(0, min(room, draft.searches_left()))
        while count > 0 and count + max(0, frame.controls_due(searched + count) - made) > room:
            # A control that is due goes first when only one fits: it was made before we came here.
            if count == 1 and frame.controls_due(searched) <= made:
                break
            count -= 1
        return count

    def _search_is_over(self, draft: Draft) -> bool:
        if draft.counters["live"] > 0 or draft.write.inbox:
            return False
        exhausted = draft.experiment.get("exhausted") or draft.fields.get("exhausted")
        if not exhausted and draft.searches_left() > 0:
            return False
        over = draft.experiment.get("controls_over") or draft.fields.get("controls_over")
        return bool(over or draft.controls_left() < 1)

    async def _commit(self, experiment: Document, draft: Draft, answer: Answer | None) -> None:
        if answer is not None:
            name = current_strategy(draft.frame, experiment).name
            described = await self._parts.gateway.describe(name)
            build = described.build if described is not None else ""
            made = [row["n"] for row in draft.write.created if row["role"] == TrialRole.TRIAL_ROLE_SEARCH]
            draft.write.record = stripped(answer, self.epoch, draft, build, made)
        await self._parts.store.steps.commit(draft.finish())
        self._asking.commit(experiment, draft)
        self._announce(draft)

    def _announce(self, draft: Draft) -> None:
        """Tell who waits: watchers, workers, and the metrics."""
        signals, frame = self._parts.signals, draft.frame
        if draft.write.events:
            signals.notify(watch_key(self.uid))
        if draft.ready:
            device_class = frame.spec.evaluator.device_class
            signals.notify(queue_key(device_class))
            hint = str(frame.name.trial(draft.next_trial - 1))
            self._dispatcher.announce(device_class, hint, draft.ready, batched=frame.batched)
        count_step(self._parts, draft)


def count_step(parts: Parts, draft: Draft) -> None:
    """The step's share of the metrics."""
    metrics = parts.metrics
    for role, count in Counter(map(_role_name, draft.write.created)).items():
        metrics.trials_proposed(role, count)
    ends = [row for row in draft.ends if row["state"] != CANCELLED]
    hits = sum(bool(row.get("cache_hit")) for row in ends)
    if hits:
        metrics.cache_hits(hits)
    failed = [row["failure"]["reason"] for row in ends if row.get("failure")]
    for reason, count in Counter(failed).items():
        metrics.trials_failed(reason_name(reason), count)
    finished = [_role_name(row) for row in ends if not row.get("failure")]
    for role, count in Counter(finished).items():
        metrics.trials_finished(role, count)
    for kind, count in Counter(event["kind"] for event in draft.write.events).items():
        metrics.events(EventKind.Name(kind).removeprefix("EVENT_KIND_").lower(), count)


def _role_name(trial: Document) -> str:
    if trial["scored"]:
        return "proxy"
    return TrialRole.Name(TrialRole.ValueType(trial["role"])).removeprefix("TRIAL_ROLE_").lower()


def reason_name(reason: int) -> str:
    return FailureReason.Name(FailureReason.ValueType(reason)).removeprefix("FAILURE_REASON_").lower()
