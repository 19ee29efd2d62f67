from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from archloom.space import dump_yaml, load_preset
from archloom.spec import (
    Budget,
    Constraint,
    Control,
    Evaluator,
    ExperimentSpec,
    Fidelity,
    Finalists,
    Objective,
    Strategy,
    Task,
    TrialLimits,
)
from archloom.spec.durations import format_duration, parse_duration
from archloom.spec.reading import parse_text
from archloom.v1 import experiment_pb2
from hypothesis import example, given, settings
from hypothesis import strategies as st

words = st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
shares = st.floats(0, 1)
leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | texts
plain = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
plain_settings = st.dictionaries(texts, plain, max_size=3)
durations = st.none() | st.timedeltas(timedelta(0), timedelta(days=3650))
strategies = st.builds(Strategy, name=words, version=texts, settings=plain_settings)
fidelities = st.builds(
    Fidelity, epochs=st.integers(0, 100_000), data_fraction=shares, resolution_fraction=shares
) | st.builds(Fidelity, proxies=st.lists(words, max_size=3).map(tuple))
objectives = st.lists(
    st.builds(Objective, metric=words, goal=st.sampled_from(["maximize", "minimize"])),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each.metric,
)
constraints = st.lists(
    st.builds(Constraint, metric=words, comparison=st.sampled_from(["at_most", "at_least"]), bound=finite),
    max_size=3,
)
samplings = st.sampled_from(["uniform_decisions", "uniform_architectures"])
SPACE = load_preset("nasbench201")
specs = st.builds(
    ExperimentSpec,
    name=texts,
    labels=st.dictionaries(texts, texts, max_size=3),
    task=st.builds(Task, dataset=words, settings=plain_settings),
    space=st.sampled_from(["nasbench201", "mobile", SPACE]),
    objectives=objectives.map(tuple),
    constraints=constraints.map(tuple),
    strategy=strategies,
    fallback=st.none() | strategies,
    evaluator=st.builds(
        Evaluator,
        kind=words,
        device_class=words,
        settings=plain_settings,
        cache=st.booleans(),
        worker_labels=st.dictionaries(texts, texts, max_size=3),
    ),
    budget=st.builds(Budget, trials=st.integers(1, 10**7), proxy_trials=st.none() | st.integers(0, 10**7)),
    parallelism=st.integers(1, 100_000),
    trial=st.none()
    | st.builds(
        TrialLimits, max_duration=durations, stall_timeout=durations, max_attempts=st.integers(0, 100)
    ),
    fidelity=st.none() | fidelities,
    control=st.none() | st.builds(Control, share=st.floats(0, 0.5), sampling=samplings),
    finalists=st.none()
    | st.builds(
        Finalists,
        count=st.integers(0, 100),
        seeds=st.integers(0, 100),
        fidelity=st.none() | fidelities,
        exports=st.lists(words, max_size=3).map(tuple),
    ),
    seed=st.integers(0, 2**63 - 1),
    priority=st.integers(-1000, 1000),
)


@given(specs)
@example(
    ExperimentSpec(
        task=Task(dataset="digits", settings={"zero": -0.0, "large": 1e300}),
        space="nasbench201",
        objectives=(Objective(metric="a", goal="maximize"),),
        constraints=(Constraint(metric="a", comparison="at_most", bound=-0.0),),
        strategy=Strategy(name="random"),
        budget=Budget(trials=1),
    )
)
@settings(max_examples=150, deadline=None)
def test_message_and_back_is_the_same_spec(spec: ExperimentSpec) -> None:
    message = spec.to_proto()
    wire = experiment_pb2.ExperimentSpec.FromString(message.SerializeToString())
    again = ExperimentSpec.from_proto(wire)
    assert again == spec
    assert again.to_proto() == message


@given(specs)
@settings(max_examples=100, deadline=None)
def test_yaml_and_json_and_back_are_the_same_spec(spec: ExperimentSpec) -> None:
    data: Any = spec.to_dict()
    assert ExperimentSpec.from_dict(data) == spec
    text = dump_yaml(data)
    assert ExperimentSpec.from_dict(parse_text(text)) == spec
    assert ExperimentSpec.from_dict(parse_text(json.dumps(data), is_json=True)) == spec


@given(st.timedeltas(timedelta(0), timedelta(days=3650)))
def test_durations_read_back(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value
