"""What a strategy says of itself, and that it is as it says."""

from __future__ import annotations

from archloom.strategy import convert
from archloom.strategy.values import Comparison, Constraint, Goal, Objective
from archloom.testing.kit import ACCURACY, FULL, Broken, Idle, Kit, Requirement, rough
from archloom.testing.rehearsal import Ending

SIZE = Objective("parameters", Goal.MINIMIZE)
LATENCY = Objective("latency_ms", Goal.MINIMIZE)
SMALL_ENOUGH = Constraint("parameters", Comparison.AT_MOST, 0.5)
QUICK_ENOUGH = Constraint("latency_ms", Comparison.AT_MOST, 0.7)


def describes_itself(kit: Kit) -> None:
    description = kit.plugin.describe()
    for name in ("name", "version", "build"):
        if not getattr(description, name):
            raise Broken(f"the description has no {name}")
    if convert.plain(description.settings_schema).get("type") != "object":
        raise Broken('the settings\' schema is not of type "object"')


def explains_its_settings(kit: Kit) -> None:
    schema = convert.plain(kit.plugin.describe().settings_schema)
    bare = [
        name
        for name, each in schema.get("properties", {}).items()
        if not (each.get("description") or "$ref" in each or "allOf" in each)
    ]
    if bare:
        raise Broken(f"settings without a description: {', '.join(sorted(bare))}")


def runs_with_defaults(kit: Kit) -> None:
    for space in ("tree", "nasbench201"):
        if faults := kit.faults(kit.spec(space), {}):
            raise Broken(f"without any setting it finds fault with {', '.join(faults)}")
    if faults := kit.faults(kit.spec()):
        raise Broken(f"with the settings under test it finds fault with {', '.join(faults)}")


def refuses_unknown_settings(kit: Kit) -> None:
    faults = kit.faults(kit.spec(), {**kit.settings, "no_such_setting": 1})
    if "settings.no_such_setting" not in faults:
        raise Broken(f"it was given settings.no_such_setting, and named {', '.join(faults) or 'no fault'}")


def takes_several_objectives(kit: Kit) -> None:
    most = kit.capabilities.max_objectives
    for objectives in ((ACCURACY, SIZE), (ACCURACY, SIZE, LATENCY)):
        spec = kit.spec(objectives=objectives)
        faults = kit.faults(spec)
        if most and len(objectives) > most:
            if "objectives" not in faults:
                raise Broken(
                    f"it says that it takes {most}, but does not refuse {len(objectives)} in `objectives`"
                )
            continue
        if faults:
            raise Broken(f"{len(objectives)} objectives are refused: {', '.join(faults)}")
        kit.must_end("tree", objectives=objectives, ending=rough)


def takes_constraints(kit: Kit) -> None:
    limits = (SMALL_ENOUGH, QUICK_ENOUGH)
    faults = kit.faults(kit.spec(constraints=limits))
    if not kit.capabilities.constraints:
        if "constraints" not in faults:
            raise Broken("it says that it takes no constraints, but does not refuse them in `constraints`")
        return
    if faults:
        raise Broken(f"constraints are refused: {', '.join(faults)}")
    kit.must_end("tree", constraints=limits, ending=rough)
    kit.must_end("tree", constraints=limits, ending=_infeasible)


def _infeasible(trial: int) -> Ending:
    return "infeasible"


def takes_floats(kit: Kit) -> None:
    faults = kit.faults(kit.spec("mixed"))
    if kit.capabilities.discrete_only:
        if not faults:
            raise Broken("it says that it needs discrete decisions, but does not refuse a space with floats")
        raise Idle("it takes no floats, and says so")
    if faults:
        raise Broken(f"a space with floats is refused: {', '.join(faults)}")
    kit.must_end("mixed", ending=rough)


def keeps_to_the_fidelities(kit: Kit) -> None:
    result = kit.search("nasbench201", ending=rough)
    by_number = {each.trial: each for each in result.asked}
    for asked in result.asked:
        if asked.fidelity.proxies:
            continue
        if asked.fidelity != FULL and not kit.capabilities.multi_fidelity:
            raise Broken(
                f"trial {asked.trial} is asked at {asked.fidelity}, but `multi_fidelity` is not said"
            )
        if not 0 < asked.fidelity.epochs <= FULL.epochs:
            raise Broken(f"trial {asked.trial} is asked for {asked.fidelity.epochs} of {FULL.epochs} epochs")
        source = by_number.get(asked.resume_from)
        if asked.resume_from and source is None:
            raise Broken(f"trial {asked.trial} goes on from trial {asked.resume_from}, which there is not")
        if source and source.architecture != asked.architecture:
            raise Broken(f"trial {asked.trial} goes on from the weights of another architecture")
        if source and source.fidelity.epochs >= asked.fidelity.epochs:
            raise Broken(f"trial {asked.trial} goes on from trial {source.trial}, which had as many epochs")


REQUIREMENTS = (
    Requirement(
        "describes-itself",
        "It says its name, version, build and settings",
        "Fill name, version and build in, and give the settings as a JSON Schema of type object.",
        describes_itself,
    ),
    Requirement(
        "explains-its-settings",
        "Each setting has a description",
        "Give each property of the settings' schema a description.",
        explains_its_settings,
    ),
    Requirement(
        "runs-with-defaults",
        "It runs without any setting",
        "Give each setting a default that is valid in any space.",
        runs_with_defaults,
    ),
    Requirement(
        "refuses-unknown-settings",
        "An unknown setting is refused by its path",
        "Answer Validate with a violation for each setting that you do not know, its field settings.NAME.",
        refuses_unknown_settings,
    ),
    Requirement(
        "several-objectives",
        "Two and three objectives: as its capabilities say",
        "Rank by all objectives, or set max_objectives and refuse more of them in Validate.",
        takes_several_objectives,
    ),
    Requirement(
        "constraints",
        "Limits on metrics: as its capabilities say",
        "Go on when trials break a limit, or clear `constraints` and refuse them in Validate.",
        takes_constraints,
    ),
    Requirement(
        "floats",
        "Floats, subsets and a recipe in the space",
        "Redraw floats within their range, or set discrete_only and refuse such a space in Validate.",
        takes_floats,
    ),
    Requirement(
        "fidelities",
        "Lower fidelities only as its capabilities say, and going on from trials of the same architecture",
        "Propose without a fidelity; or set multi_fidelity, keep to 1..epochs of the spec's, and resume from "
        "a shorter trial of the same architecture.",
        keeps_to_the_fidelities,
    ),
)
