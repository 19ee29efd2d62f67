"""The class that every strategy written in Python is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, cast, get_args, get_origin

from pydantic import BaseModel

from archloom.errors import Violation
from archloom.strategy.values import (
    Capabilities,
    NoSettings,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    SettingsT,
    StateT,
)


class Strategy(ABC, Generic[SettingsT, StateT]):
    """A search strategy: one pure function from what is known to what to try next.

    Name the types of the settings and of the state in the brackets; both are pydantic models (or, for the
    state, bytes). Without brackets there are neither. A strategy object holds nothing: it may be called
    from several threads, killed between any two calls, and asked again elsewhere. Whatever the next step
    needs goes into the state, at most 3 MiB; what the log already holds stays there
    (``capabilities.history``). All randomness comes from ``request.rng``; time, set order and hash order
    must not show.

    A round of a hill climber, with two proposals wanted in each step::

        class HillClimber(Strategy[NoSettings, Best]):
            name = "hill-climber"

            def propose(self, request):
                best = request.state or Best()
                for trial in request.finished:
                    score, = request.spec.scores(trial)
                    if score > best.score:
                        best = Best(score=score, decisions=dict(trial.architecture.decisions))
                ...
                return ProposeResult([Proposal(child) for child in children], state=best)

        step 1: state None, no observations
            -> 2 random architectures, Best(score=-inf)
        step 2: Best(-inf); accepted 1, refused (the second was in the log already)
            -> 1 more; a refused proposal spent no budget
        step 3: Best(-inf); accepted 2, finished 1 with 0.91
            -> 1 neighbour of trial 1, Best(0.91)
        step 3 again, on another replica, after this one was killed
            -> the same bytes

    Each observation is told once: what ``propose`` does not put into the state, it has to read from
    ``request.history``.
    """

    name: ClassVar[str]
    """Lower case, digits and dashes; what a spec calls it."""
    version: ClassVar[str] = "1"
    """Experiments pin it: change it when answers change."""
    summary: ClassVar[str] = ""
    """One line for listings; the first line of the docstring when empty."""
    capabilities: ClassVar[Capabilities] = Capabilities()
    state_version: ClassVar[int] = 1
    """The layout of the state. ``load_state`` gets the version that wrote the bytes."""

    settings_type: ClassVar[type[BaseModel]] = NoSettings
    state_type: ClassVar[type[BaseModel] | type[bytes] | None] = None

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for base in getattr(cls, "__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and issubclass(origin, Strategy):
                settings, *state = get_args(base)
                if isinstance(settings, type) and issubclass(settings, BaseModel):
                    cls.settings_type = settings
                if state and isinstance(state[0], type) and issubclass(state[0], (BaseModel, bytes)):
                    cls.state_type = state[0]

    @abstractmethod
    def propose(self, request: ProposeRequest[SettingsT, StateT]) -> ProposeResult[StateT]:
        """Answers up to ``request.count`` proposals. A function of the request alone."""

    def check(self, spec: SearchSpec, settings: SettingsT) -> Iterable[Violation]:
        """Faults of a search that this strategy cannot run, beyond settings and capabilities, which are
        checked already.

        Each names its field: ``settings.NAME`` for a setting, else the path in the experiment's spec, as
        ``fidelity.epochs``.
        """
        return ()

    def dump_state(self, state: StateT) -> bytes:
        """The state as bytes: JSON with sorted keys for a pydantic model. Equal states must give equal
        bytes.
        """
        if isinstance(state, bytes):
            return state
        if isinstance(state, BaseModel):
            fields = state.model_dump(mode="json")
            return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=True).encode()
        raise TypeError(
            f"the state of {self.name!r} is a {type(state).__name__}: give a pydantic model or bytes"
        )

    def load_state(self, version: int, data: bytes) -> StateT:
        """The state from the bytes that ``dump_state`` of layout ``version`` wrote. Override it to read
        older layouts.
        """
        if version != self.state_version:
            raise ValueError(
                f"the state has layout {version}; this {self.name!r} reads layout {self.state_version}"
            )
        kind = self.state_type
        if kind is bytes:
            return cast("StateT", data)
        if kind is not None and issubclass(kind, BaseModel):
            return cast("StateT", kind.model_validate(json.loads(data)))
        raise ValueError(f"{self.name!r} has no state, but the request brings one")
