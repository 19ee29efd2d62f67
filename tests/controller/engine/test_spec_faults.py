"""Bad specs: every fault at once, each with its path, and nothing stored."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.errors import InvalidInput, Violation
from archloom.v1 import experiment_pb2


async def faults(world: Any, spec: experiment_pb2.ExperimentSpec) -> dict[str, str]:
    request = experiment_pb2.ValidateExperimentRequest(parent="projects/p", spec=spec)
    response = await world.experiments.ValidateExperiment(request, None)
    found = {each.field: each.description for each in response.violations}
    create = experiment_pb2.CreateExperimentRequest(parent="projects/p", spec=spec)
    if found:
        with pytest.raises(InvalidInput) as refused:
            await world.experiments.CreateExperiment(create, None)
        assert {each.field for each in refused.value.violations} == {f"spec.{field}" for field in found}
        assert await world.store.database["experiments"].count_documents({}) == 0
    return found


async def test_a_good_spec_has_none_and_comes_back_whole(world: Any) -> None:
    spec = world.spec(kind="train")
    spec.ClearField("control")
    assert await faults(world, spec) == {}
    request = experiment_pb2.ValidateExperimentRequest(parent="projects/p", spec=spec)
    resolved = (await world.experiments.ValidateExperiment(request, None)).resolved_spec
    assert resolved.control.share == 0.1
    assert resolved.control.sampling == experiment_pb2.SAMPLING_UNIFORM_DECISIONS
    assert resolved.strategy.version == "1"


async def test_a_preset_is_resolved_to_its_tree(world: Any) -> None:
    spec = world.spec()
    spec.space.preset = "nasbench201"
    request = experiment_pb2.ValidateExperimentRequest(parent="projects/p", spec=spec)
    resolved = (await world.experiments.ValidateExperiment(request, None)).resolved_spec
    assert resolved.space.space.HasField("body")


async def test_every_fault_is_told_at_once(world: Any) -> None:
    spec = world.spec(kind="train", trials=5)
    spec.strategy.name = "randm"
    spec.task.dataset = "digit"
    spec.objectives[0].metric = "val_acuracy"
    spec.budget.trials = 0
    spec.control.share = float("nan")
    spec.space.space.body.sequence.nodes[0].layer.operation.literal.text = "convolve"
    found = await faults(world, spec)
    assert {"strategy.name", "task.dataset", "objectives[0].metric", "budget.trials", "control.share"} <= set(
        found
    )
    assert any(field.startswith("space.space") for field in found)
    assert "'random'" in found["strategy.name"]
    assert "'digits'" in found["task.dataset"]
    assert "'val_accuracy'" in found["objectives[0].metric"]


def decide(spec: experiment_pb2.ExperimentSpec, name: str, value: str) -> None:
    """Let the recipe choose between the evaluator's default and ``value``."""
    binding = spec.space.space.recipe.add(name=name)
    for text in ("adamw", value):
        binding.value.domain.choice.values.add(text=text)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda s: setattr(s.evaluator, "kind", "tabel"), "evaluator.kind"),
        (lambda s: setattr(s.evaluator, "device_class", "gpu"), "evaluator.device_class"),
        (lambda s: setattr(s.task, "kind", "detection"), "task.kind"),
        (lambda s: setattr(s.space, "preset", "nasbench"), "space.preset"),
        (lambda s: s.objectives.add().CopyFrom(s.objectives[0]), "objectives[1].metric"),
        (lambda s: setattr(s.budget, "device_seconds", 10.0), "trial.max_duration"),
        (lambda s: setattr(s.strategy, "version", "9"), "strategy.version"),
        (lambda s: s.strategy.settings.update({"bad": 1}), "strategy.settings.bad"),
        (lambda s: setattr(s.fallback, "name", "nobody"), "fallback.name"),
        (lambda s: setattr(s, "parallelism", 1_000_000), "parallelism"),
        (lambda s: s.trial.max_duration.FromSeconds(-1), "trial.max_duration"),
        (lambda s: s.finalists.exports.append("tflite"), "finalists.exports[0]"),
        (lambda s: setattr(s.fidelity, "resolution_fraction", 0.5), "fidelity.resolution_fraction"),
        (lambda s: s.finalists.fidelity.proxies.append("synflow"), "finalists.fidelity.proxies"),
        (lambda s: s.task.settings.update({"clases": 10}), "task.settings.clases"),
        (lambda s: s.task.settings.update({"classes": 3}), "task.settings.classes"),
        (lambda s: decide(s, "learning_rat", "lr"), "space.space.recipe.learning_rat"),
        (lambda s: decide(s, "optimizer", "adagrad"), "space.space.recipe.optimizer"),
    ],
)
async def test_each_fault_names_its_field(world: Any, change: Any, field: str) -> None:
    spec = world.spec(kind="train")
    change(spec)
    assert set(await faults(world, spec)) == {field}


async def test_the_space_reads_what_the_data_set_gives(world: Any) -> None:
    spec = world.spec(kind="train")
    shape = spec.space.space.inputs[0].shape
    shape[1].literal.integer = shape[2].literal.integer = 28
    found = await faults(world, spec)
    assert found == {
        "space.space.inputs[0].shape": "the space reads 1 x 28 x 28, examples of 'digits' are 1 x 8 x 8"
    }


async def test_what_the_strategy_cannot_do_is_said_at_creation(world: Any) -> None:
    world.gateway.capabilities.max_objectives = 1
    world.gateway.capabilities.constraints = False
    spec = world.spec(kind="train", most_parameters=10.0)
    spec.objectives.add(metric="val_loss", goal=2)
    request = experiment_pb2.ValidateExperimentRequest(parent="projects/p", spec=spec)
    # A strategy's own check finds that, too, and the user need not read it twice.
    world.gateway.faults = [Violation("objectives", "'random' takes one"), Violation("constraints", "none")]
    told = [
        (v.field, v.description)
        for v in (await world.experiments.ValidateExperiment(request, None)).violations
    ]
    assert told == [
        ("objectives", "strategy 'random' takes at most one objective, the spec has 2"),
        ("constraints", "strategy 'random' takes no constraints, the spec has some"),
    ]


@pytest.mark.parametrize(
    ("named", "field"),
    [
        ("settings.eta", "{}.settings.eta"),
        ("settings", "{}.settings"),
        ("fidelity.epochs", "fidelity.epochs"),
        ("objectives[0].metric", "objectives[0].metric"),
        ("space", "space"),
        ("space.body", "space.space.body"),
        ("trials", "budget.trials"),
        ("budget.trials", "budget.trials"),
        ("strategy.name", "{}.name"),
        ("eta", "{}.eta"),
        ("", "{}"),
    ],
)
async def test_what_a_strategys_own_check_finds_has_its_place_in_the_spec(
    world: Any, named: str, field: str
) -> None:
    world.gateway.faults = [Violation(named, "does not fit")]
    spec = world.spec(kind="train", fallback="other")
    request = experiment_pb2.ValidateExperimentRequest(parent="projects/p", spec=spec)
    told = (await world.experiments.ValidateExperiment(request, None)).violations
    places = {field.format(owner) for owner in ("strategy", "fallback")}
    assert sorted(each.field for each in told) == sorted(places)
