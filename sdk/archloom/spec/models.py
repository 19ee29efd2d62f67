"""The experiment spec as frozen models: what a YAML file says, and what goes to the server."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_serializer,
    model_validator,
)

from archloom.space import Space
from archloom.spec.durations import format_duration, parse_duration
from archloom.spec.faults import brief, impossible_values
from archloom.v1 import experiment_pb2

#: Settings travel as JSON numbers: beyond this a whole number would lose digits.
EXACT = 2**53
_COMPARISON = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=|<|>|==?)\s*(\S+)\s*")


def _plain_settings(value: dict[str, Any]) -> dict[str, Any]:
    faults = [str(each) for each in impossible_values(value)]
    stack: list[Any] = list(value.values())
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            stack.extend(each.values())
        elif isinstance(each, list):
            stack.extend(each)
        elif isinstance(each, int) and abs(each) > EXACT:
            faults.append(f"{brief(each)} is too large for a number: write it as text")
    if faults:
        raise ValueError("; ".join(faults))
    return value


Settings = Annotated[dict[str, Any], AfterValidator(_plain_settings)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
Metric = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Task(_Model):
    """What the models are for and what they learn from."""

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")] = "classification"
    #: A data set of the registry ("mnist5k"), or "npz:PATH" and "folder:PATH" under a root of the operator's.
    dataset: Annotated[str, Field(min_length=1, max_length=1024)]
    settings: Settings = {}


class Objective(_Model):
    """One metric to improve. In YAML ``{maximize: val_accuracy}`` or ``{minimize: parameters}``."""

    metric: Metric
    goal: Literal["maximize", "minimize"]

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, dict) and ("maximize" in value or "minimize" in value):
            if len(value) != 1:
                raise ValueError("names one metric: {maximize: val_accuracy} or {minimize: parameters}")
            ((goal, metric),) = value.items()
            return {"metric": metric, "goal": goal}
        if isinstance(value, str):
            raise ValueError(f"say which way is better: {{maximize: {value}}} or {{minimize: {value}}}")
        return value

    @model_serializer
    def _shortened(self) -> dict[str, str]:
        return {self.goal: self.metric}


class Constraint(_Model):
    """A limit on a metric. In YAML ``parameters <= 100000``."""

    metric: Metric
    comparison: Literal["at_most", "at_least"]
    bound: float

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = _COMPARISON.fullmatch(value)
        if found is None:
            raise ValueError(f"{brief(value)} is not a limit: write 'parameters <= 100000'")
        metric, sign, bound = found.groups()
        if sign not in ("<=", ">="):
            raise ValueError(f"compare with <= or >=, not {sign}")
        try:
            number = float(bound.replace("_", ""))
        except ValueError:
            raise ValueError(f"{bound!r} is not a number") from None
        return {"metric": metric, "comparison": "at_most" if sign == "<=" else "at_least", "bound": number}

    @model_serializer
    def _shortened(self) -> str:
        return f"{self.metric} {'<=' if self.comparison == 'at_most' else '>='} {number_text(self.bound)}"


class Strategy(_Model):
    """What proposes architectures. In YAML its name alone will do."""

    name: Name
    #: Empty takes the newest that is served, and pins it.
    version: Annotated[str, Field(max_length=63)] = ""
    settings: Settings = {}

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Evaluator(_Model):
    """What evaluates a trial, and on which devices."""

    kind: Kind = "train"
    device_class: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")] = "cpu"
    settings: Settings = {}
    #: Results of equal trials of the project may be taken from its cache.
    cache: bool = True
    #: What a worker must have said of itself to be given these trials.
    worker_labels: dict[str, str] = {}


class Budget(_Model):
    """What the search may spend, controls included; finalists come on top. 0 device seconds: no limit.

    Proxy trials, training-free scores that a strategy asks for, are beside the trials; left out, there are
    a hundred for each of those.
    """

    trials: Annotated[int, Field(ge=1, le=10_000_000)]
    device_seconds: Annotated[float, Field(ge=0)] = 0.0
    proxy_trials: Annotated[int, Field(ge=0, le=10_000_000)] | None = None


class TrialLimits(_Model):
    """Limits of one trial. Left out, the server's defaults hold."""

    max_duration: Duration | None = None
    stall_timeout: Duration | None = None
    max_attempts: Annotated[int, Field(ge=0, le=100)] = 0


class Fidelity(_Model):
    """How thoroughly a trial is evaluated; a fraction of 0 means all."""

    epochs: Annotated[int, Field(ge=0, le=100_000)] = 0
    data_fraction: Share = 0.0
    resolution_fraction: Share = 0.0
    proxies: Annotated[tuple[str, ...], Field(strict=False, max_length=32)] = ()

    @model_validator(mode="after")
    def _exclusive(self) -> Fidelity:
        if self.epochs and self.proxies:
            raise ValueError("either epochs or proxies: a proxy scores a network without training it")
        return self


class Control(_Model):
    """The random baseline beside the strategy. In YAML also ``equal`` (half of all trials) or ``none``."""

    share: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    sampling: Literal["uniform_decisions", "uniform_architectures"] = "uniform_decisions"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        shares = {"equal": 0.5, "none": 0.0}
        if isinstance(value, str):
            if value not in shares:
                raise ValueError(f"{brief(value)} is not a control: write {{share: 0.1}}, equal or none")
            return {"share": shares[value]}
        return value


class Finalists(_Model):
    """The end of an experiment: the best are trained again, then the sealed test split opens once."""

    count: Annotated[int, Field(ge=0, le=100)] = 1
    seeds: Annotated[int, Field(ge=0, le=100)] = 1
    fidelity: Fidelity | None = None
    exports: Annotated[tuple[str, ...], Field(strict=False, max_length=16)] = ()


class ExperimentSpec(_Model):
    """A search: task, space, objectives, strategy, evaluator and budget.

    Read one from a file with `ExperimentSpec.load`, or from plain data with `from_dict`; both raise
    InvalidInput with every fault and its path.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: Annotated[str, Field(max_length=200)] = ""
    labels: Annotated[dict[str, str], Field(max_length=64)] = {}
    task: Task
    #: A preset's name, or the space itself.
    space: Space | str
    objectives: Annotated[tuple[Objective, ...], Field(strict=False, min_length=1, max_length=8)]
    constraints: Annotated[tuple[Constraint, ...], Field(strict=False, max_length=32)] = ()
    strategy: Strategy
    fallback: Strategy | None = None
    evaluator: Evaluator = Evaluator()
    budget: Budget
    parallelism: Annotated[int, Field(ge=1, le=100_000)] = 4
    trial: TrialLimits | None = None
    fidelity: Fidelity | None = None
    control: Control | None = None
    finalists: Finalists | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0

    @field_validator("objectives")
    @classmethod
    def _each_metric_once(cls, value: tuple[Objective, ...]) -> tuple[Objective, ...]:
        names = [each.metric for each in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: named by two objectives")
        return value

    @model_validator(mode="after")
    def _bounded_seconds(self) -> ExperimentSpec:
        if self.budget.device_seconds and (self.trial is None or not self.trial.max_duration):
            raise ValueError("budget.device_seconds needs trial.max_duration: it is what a trial reserves")
        return self

    @classmethod
    def load(cls, path: Path | str) -> ExperimentSpec:
        """Reads a YAML or JSON file. `space: {file: PATH}` in it is relative to the file."""
        from archloom.spec.reading import load_spec

        return load_spec(Path(path))

    @classmethod
    def from_dict(cls, data: object, folder: Path | None = None) -> ExperimentSpec:
        """From plain data in the form of the YAML. Files that it names are looked up in `folder`."""
        from archloom.spec.reading import read_spec

        return read_spec(data, folder)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads back to an equal spec; what stands at its default is left out."""
        data = self.model_dump(exclude_defaults=True, exclude={"space"}, mode="python")
        data["space"] = self.space if isinstance(self.space, str) else self.space.to_dict()
        return {name: _listed(data[name]) for name in type(self).model_fields if name in data}

    @classmethod
    def from_proto(cls, message: experiment_pb2.ExperimentSpec) -> ExperimentSpec:
        from archloom.spec.wire import from_proto

        return from_proto(message)

    def to_proto(self) -> experiment_pb2.ExperimentSpec:
        from archloom.spec.wire import to_proto

        return to_proto(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExperimentSpec) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


def _listed(value: Any) -> Any:
    """Tuples as lists, as YAML and JSON have them."""
    if isinstance(value, dict):
        return {key: _listed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(each) for each in value]
    return value


def number_text(value: float) -> str:
    """100000 for 100000.0; otherwise the shortest text that reads back to the same number."""
    return str(int(value)) if is_whole(value) else repr(value)


def is_whole(value: float) -> bool:
    """Whether an int says the same: not beyond what floats hold exactly, and not for minus zero."""
    return value.is_integer() and abs(value) <= EXACT and (value != 0 or math.copysign(1.0, value) > 0)
