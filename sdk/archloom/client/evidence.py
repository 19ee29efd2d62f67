"""The evidence of an experiment as values: strategy against controls, finalists, winner, test score."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from archloom.client.values import Artifact, Metrics, Trial, metrics_of, time_of, word_of
from archloom.space import Architecture, Graph, SpaceError
from archloom.v1 import architecture_pb2, experiment_pb2, space_pb2


@dataclass(frozen=True)
class SampleSummary:
    """One side of the comparison. `best` and `median` are the first objective's, None without a trial."""

    trials: int
    failed: int
    best: float | None
    median: float | None
    device_seconds: float

    @classmethod
    def from_proto(cls, message: experiment_pb2.SampleSummary) -> SampleSummary:
        return cls(
            message.trials,
            message.failed,
            message.best if message.HasField("best") else None,
            message.median if message.HasField("median") else None,
            message.device_seconds,
        )


@dataclass(frozen=True)
class ControlComparison:
    """The strategy against random search. `verdict` is "better", "not_shown" or "not_identified"."""

    strategy_first: SampleSummary
    strategy_all: SampleSummary
    controls: SampleSummary
    matched_trials: int
    margin: float | None
    p_value: float | None
    probability_better: float | None
    verdict: str
    statement: str

    @classmethod
    def from_proto(cls, message: experiment_pb2.ControlComparison) -> ControlComparison:
        return cls(
            strategy_first=SampleSummary.from_proto(message.strategy_first),
            strategy_all=SampleSummary.from_proto(message.strategy_all),
            controls=SampleSummary.from_proto(message.controls),
            matched_trials=message.matched_trials,
            margin=message.margin if message.HasField("margin") else None,
            p_value=message.p_value if message.HasField("p_value") else None,
            probability_better=message.probability_better if message.HasField("probability_better") else None,
            verdict=word_of(experiment_pb2.Verdict, message.verdict, "VERDICT_"),
            statement=message.statement,
        )


@dataclass(frozen=True)
class Finalist:
    """One of the best architectures, retrained with several seeds."""

    trial: str
    architecture: Architecture
    runs: tuple[Trial, ...]
    validation_mean: float | None
    validation_stddev: float | None
    test_mean: float | None

    @classmethod
    def from_proto(cls, message: experiment_pb2.Finalist) -> Finalist:
        return cls(
            trial=message.trial,
            architecture=Architecture.from_proto(message.architecture),
            runs=tuple(map(Trial.from_proto, message.runs)),
            validation_mean=message.validation_mean if message.HasField("validation_mean") else None,
            validation_stddev=message.validation_stddev if message.HasField("validation_stddev") else None,
            test_mean=message.test_mean if message.HasField("test_mean") else None,
        )


@dataclass(frozen=True)
class TestScore:
    """The exported model on the sealed test split, with its 95% interval."""

    __test__ = False  # a value, not a test of pytest's

    trial: str
    metric: str
    value: float
    lower: float
    upper: float
    examples: int

    @classmethod
    def from_proto(cls, message: experiment_pb2.TestScore) -> TestScore:
        return cls(
            message.trial, message.metric, message.value, message.lower, message.upper, message.examples
        )


@dataclass(frozen=True)
class NetworkNode:
    """One layer of the winner's canonical graph; `shape` leaves the batch axis out."""

    id: int
    operation: str
    parameters: tuple[tuple[str, str], ...]
    inputs: tuple[int, ...]
    path: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """The winner's canonical graph, in topological order, for drawing.

    ``graph`` is the same with all that is known of its operations; None where one is unknown here.
    """

    nodes: tuple[NetworkNode, ...]
    outputs: tuple[int, ...]
    hash: str
    parameters: int
    flops: int
    graph: Graph | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_proto(cls, message: architecture_pb2.Graph) -> Network:
        try:
            graph = Graph.from_proto(message)
        except SpaceError:
            graph = None
        nodes = tuple(
            NetworkNode(
                id=node.id,
                operation=node.operation,
                parameters=tuple((each.name, literal_text(each.value)) for each in node.parameters),
                inputs=tuple(node.inputs),
                path=node.path,
                shape=tuple(node.shape.dims),
            )
            for node in message.nodes
        )
        outputs = tuple(port.node for port in message.outputs)
        return cls(nodes, outputs, message.hash, message.parameters, message.flops, graph)


@dataclass(frozen=True)
class Report:
    """What an experiment found and how sure one may be of it."""

    experiment: str
    create_time: datetime | None
    front: tuple[Trial, ...]
    control: ControlComparison | None
    finalists: tuple[Finalist, ...]
    winner: str
    winner_fixed_time: datetime | None
    test_opened_time: datetime | None
    tied_with: tuple[str, ...]
    test: TestScore | None
    winner_metrics: Metrics
    artifacts: tuple[Artifact, ...]
    network: Network | None
    notes: tuple[str, ...]

    @classmethod
    def from_proto(cls, message: experiment_pb2.Report) -> Report:
        has = message.HasField
        return cls(
            experiment=message.experiment,
            create_time=time_of(message, "create_time"),
            front=tuple(map(Trial.from_proto, message.front)),
            control=ControlComparison.from_proto(message.control) if has("control") else None,
            finalists=tuple(map(Finalist.from_proto, message.finalists)),
            winner=message.winner,
            winner_fixed_time=time_of(message, "winner_fixed_time"),
            test_opened_time=time_of(message, "test_opened_time"),
            tied_with=tuple(message.tied_with),
            test=TestScore.from_proto(message.test) if has("test") else None,
            winner_metrics=metrics_of(message.winner_metrics),
            artifacts=tuple(map(Artifact.from_proto, message.artifacts)),
            network=Network.from_proto(message.winner_graph) if has("winner_graph") else None,
            notes=tuple(message.notes),
        )


def literal_text(literal: space_pb2.Literal) -> str:
    """A constant as people write it."""
    kind = literal.WhichOneof("value")
    if kind == "list":
        return "[" + ", ".join(map(literal_text, literal.list.items)) + "]"
    if kind == "flag":
        return "true" if literal.flag else "false"
    return "" if kind is None else str(getattr(literal, kind))
