"""The engine, small: trials, attempts, owners, the cursor of what is sequenced. Nothing else.

What it says is the rule; the store is held to it by the machine in test_model.py. Every operation answers
what the real one answers, so that the two can be compared call by call.
"""

from __future__ import annotations

from dataclasses import dataclass, field

READY, LEASED, COMPLETED, FAILED, CANCELLED = "ready", "leased", "completed", "failed", "cancelled"
LIVE = (READY, LEASED)


@dataclass
class Trial:
    state: str = READY
    attempt: int = 0
    holder: str = ""
    spent: int = 0
    #: The call that ended the last attempt that ended, and which attempt.
    answered: tuple[str, int] = ("", 0)
    #: Its end is not in the log yet.
    dirty: bool = False
    held: bool = False


@dataclass(frozen=True)
class Begun:
    """A step between its reading and its writing: what an owner saw."""

    epoch: int
    step: int
    change: int
    ended: tuple[int, ...]
    create: int


@dataclass
class Model:
    parallelism: int
    budget: int
    max_attempts: int = 3
    epoch: int = 1
    step: int = 0
    change: int = 0
    paused: bool = False
    trials: dict[int, Trial] = field(default_factory=dict)
    #: Created and ended trials in the order of their sequence numbers.
    log: list[tuple[str, int]] = field(default_factory=list)

    # The owner

    @property
    def unsequenced(self) -> int:
        """Live for the owner: created, and its end not sequenced."""
        return len(self.trials) - sum(kind == "ended" for kind, _ in self.log)

    def begin(self, wanted: int) -> Begun:
        ended = tuple(n for n, trial in sorted(self.trials.items()) if trial.dirty)
        room = self.parallelism - (self.unsequenced - len(ended))
        create = 0 if self.paused else max(0, min(wanted, room, self.budget - len(self.trials)))
        return Begun(self.epoch, self.step, self.change, ended, create)

    def commit(self, begun: Begun) -> bool:
        if (begun.epoch, begun.step, begun.change) != (self.epoch, self.step, self.change):
            return False
        self.step += 1
        for number in begun.ended:
            self.trials[number].dirty = False
            self.log.append(("ended", number))
        for _ in range(begun.create):
            number = len(self.trials) + 1
            self.trials[number] = Trial()
            self.log.append(("created", number))
        return True

    def take_over(self) -> int:
        self.epoch += 1
        return self.epoch

    # Users

    def pause(self, paused: bool) -> None:
        self.paused = paused
        self.change += 1
        for trial in self.trials.values():
            if trial.state == READY:
                trial.held = paused

    def cancel(self, number: int) -> bool:
        trial = self.trials[number]
        if trial.state not in LIVE:
            return False
        trial.state, trial.dirty = CANCELLED, True
        return True

    # Workers and the reaper

    def lease(self, worker: str, count: int) -> list[tuple[int, int]]:
        taken = [n for n, trial in sorted(self.trials.items()) if trial.state == READY and not trial.held]
        for number in taken[:count]:
            trial = self.trials[number]
            trial.state, trial.holder = LEASED, worker
            trial.attempt += 1
        return [(number, self.trials[number].attempt) for number in taken[:count]]

    def _holds(self, worker: str, number: int, attempt: int) -> bool:
        trial = self.trials[number]
        return trial.state == LEASED and (trial.holder, trial.attempt) == (worker, attempt)

    def _recorded(self, worker: str, number: int, call: str, attempt: int) -> bool:
        trial = self.trials[number]
        return (trial.holder, trial.answered) == (worker, (call, attempt))

    def complete(self, worker: str, number: int, attempt: int) -> bool:
        trial = self.trials[number]
        if self._holds(worker, number, attempt):
            trial.state, trial.dirty, trial.answered = COMPLETED, True, ("complete", attempt)
        return self._recorded(worker, number, "complete", attempt)

    def fail(self, worker: str, number: int, attempt: int) -> bool:
        """As LOST: tried again up to max_attempts."""
        trial = self.trials[number]
        if self._holds(worker, number, attempt):
            trial.spent += 1
            trial.answered = ("fail", attempt)
            if trial.spent < self.max_attempts:
                trial.state, trial.held = READY, self.paused
            else:
                trial.state, trial.dirty = FAILED, True
        return self._recorded(worker, number, "fail", attempt)

    def release(self, worker: str, number: int, attempt: int) -> bool:
        trial = self.trials[number]
        if self._holds(worker, number, attempt):
            trial.state, trial.held, trial.answered = READY, self.paused, ("release", attempt)
        return self._recorded(worker, number, "release", attempt)
