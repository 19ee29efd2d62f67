"""Every fault of a request is found, with its path, whatever the bytes."""

from __future__ import annotations

import pytest
from archloom.errors import InvalidInput
from archloom.v1 import experiment_pb2, space_pb2, strategy_pb2
from archloom_controller.rpc.rules import Rules
from archloom_controller.rpc.wire import MAX_DEPTH, locate_fault
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

CREATE = "archloom.v1.CreateExperimentRequest"


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules()


def faults_of(rules: Rules, message: experiment_pb2.CreateExperimentRequest) -> dict[str, str]:
    return {fault.field: fault.message for fault in rules.violations(message)}


def test_every_broken_rule_is_told_with_its_path(rules: Rules) -> None:
    request = experiment_pb2.CreateExperimentRequest(parent="projects/p")
    request.spec.objectives.add(metric="val_accuracy", goal="GOAL_MAXIMIZE")
    request.spec.objectives.add(metric="No Metric")
    request.spec.budget.trials = 0
    request.spec.constraints.add(metric="flops", comparison="COMPARISON_AT_MOST", bound=float("inf"))
    found = faults_of(rules, request)
    assert "spec.objectives[0].metric" not in found
    assert found["spec.objectives[1].metric"].startswith("does not match")
    assert found["spec.objectives[1].goal"] == "must be set"
    assert "greater than or equal to 1" in found["spec.budget.trials"]
    assert found["spec.constraints[0].bound"] == "must be finite"
    assert "required" in found["spec.strategy"]


def test_unreal_numbers_in_settings_are_found_however_deep(rules: Rules) -> None:
    request = experiment_pb2.CreateExperimentRequest(parent="projects/p")
    request.spec.strategy.settings.update({"a": {"b": [1.0, {"c": float("nan")}]}, "fine": 1.0})
    request.spec.evaluator.settings["rate"] = float("-inf")
    found = faults_of(rules, request)
    assert found["spec.strategy.settings.a.b[1].c"] == "must be a finite number, not nan"
    assert found["spec.evaluator.settings.rate"] == "must be a finite number, not -inf"
    assert not [path for path in found if "fine" in path]


def test_numbers_in_repeated_messages_and_oneofs_are_found(rules: Rules) -> None:
    answer = strategy_pb2.ProposeResponse(experiment="e", step=1)
    answer.proposals.proposals.add().supernet.settings["x"] = float("inf")
    answer.diagnostics.add(name="ok", value=float("nan"))
    found = {fault.field: fault.message for fault in rules.violations(answer)}
    assert "proposals.proposals[0].supernet.settings.x" in found
    assert found["diagnostics[0].value"] == "must be finite"


def test_require_raises_all_of_them(rules: Rules) -> None:
    with pytest.raises(InvalidInput) as caught:
        rules.require(experiment_pb2.GetExperimentRequest())
    assert [fault.field for fault in caught.value.violations] == ["name"]
    rules.require(experiment_pb2.GetExperimentRequest(name="projects/p/experiments/e"))


def tree(depth: int) -> bytes:
    """A CreateExperimentRequest whose body nests that many sequences; too deep for the serializer itself."""
    node = space_pb2.SpaceNode()
    node.layer.operation.literal.text = "conv"
    data = node.SerializeToString()
    for _ in range(depth):
        sequence = b"\x0a" + varint(len(data)) + data
        data = b"\x5a" + varint(len(sequence)) + sequence
    for field in (
        0x32,
        0x12,
        0x22,
        0x1A,
    ):  # Space.body, SpaceSource.space, ExperimentSpec.space, request.spec
        data = bytes([field]) + varint(len(data)) + data
    return data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def test_a_tree_1000_deep_is_a_fault_with_a_path(rules: Rules) -> None:
    faults = rules.parse(CREATE, tree(1000))
    assert len(faults) == 1
    assert faults[0].field.startswith("spec.space.space.body.sequence.nodes[0].sequence")
    assert faults[0].message == f"nests deeper than {MAX_DEPTH} levels"


def test_a_tree_of_a_sane_depth_is_read(rules: Rules) -> None:
    fields = [fault.field for fault in rules.parse(CREATE, tree(30))]
    assert fields
    assert not [field for field in fields if field.startswith("spec.space.space.body")]


def test_bytes_that_are_cut_off_or_no_text_are_told_with_their_field(rules: Rules) -> None:
    whole = experiment_pb2.CreateExperimentRequest(
        parent="projects/p", experiment_id="abc"
    ).SerializeToString()
    cut = rules.parse(CREATE, whole[:-1])
    assert [(fault.field, fault.message) for fault in cut] == [("experiment_id", "is cut off")]
    crooked = rules.parse(CREATE, whole.replace(b"abc", b"\xff\xfe\xfd"))
    assert [(fault.field, fault.message) for fault in crooked] == [("experiment_id", "is not UTF-8 text")]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_told(data: bytes) -> None:
    descriptor = experiment_pb2.CreateExperimentRequest.DESCRIPTOR
    try:
        experiment_pb2.CreateExperimentRequest.FromString(data)
    except DecodeError:
        assert locate_fault(data, descriptor).message
