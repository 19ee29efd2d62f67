"""`archloom export --format python`: a network as a torch file of its own.

The code is written by the package of the evaluators, which knows torch; it offers itself by the entry-point
group ``archloom.exporters``.
"""

from __future__ import annotations

from pathlib import Path

from archloom.cli.architectures import FORMS, architecture_of
from archloom.cli.offers import offered
from archloom.cli.output import short_name
from archloom.cli.spaces import space_of
from archloom.client import Client
from archloom.errors import InvalidInput, NotFound, Unavailable, Violation
from archloom.space import Architecture, Space, preset_names

_TOLD = 60


def write_python(
    source: str, architecture: str, trial: int | None, classes: int | None, weights: Path | None, out: Path
) -> list[Path]:
    """The files written: the code, and with ``weights`` the weights under its names."""
    export = offered("archloom.exporters", "python")
    if architecture:
        if trial is not None:
            raise InvalidInput([Violation("--trial", "a space has no trials; name an experiment alone")])
        space = space_of(source)
        chosen = architecture_of(space, architecture)
        title = f"Space {space.name or Path(source).stem}"
    else:
        if Path(source).suffix.lower() in (".yaml", ".yml", ".json"):
            raise _unnamed(source)
        try:
            space, chosen, title, known = _of_experiment(source, trial)
        except (NotFound, Unavailable):
            if source in preset_names():
                raise _unnamed(source) from None
            raise
        classes = known if classes is None else classes
    graph = space.graph(chosen, classes)
    exported = export(graph, f"{title}\n{_told(chosen)}".rstrip())
    path = out / "network.py" if out.is_dir() or not out.suffix else out
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(exported.text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput([Violation("--out", f"{path} cannot be written: {error.strerror}")]) from None
    if weights is None:
        return [path]
    renamed = path.with_suffix(".safetensors")
    offered("archloom.exporters", "python-weights")(exported, weights, renamed)
    return [path, renamed]


def _unnamed(source: str) -> InvalidInput:
    told = f"which architecture of {source}? Give {FORMS}; `archloom spaces sample {source}` draws one"
    return InvalidInput([Violation("ARCHITECTURE", told)])


def _of_experiment(name: str, number: int | None) -> tuple[Space, Architecture, str, int | None]:
    """Space, architecture, title and number of classes of a trial; the winner's where none is named."""
    with Client() as client:
        experiment = client.experiments.get(name)
        if number is None:
            if not experiment.winner:
                message = f"{short_name(experiment.name)} has no winner yet; name one of its trials"
                raise InvalidInput([Violation("--trial", message)])
            number = int(short_name(experiment.winner))
        trial = client.trials.get(name, number)
        spec = experiment.spec
        space = spec.space if isinstance(spec.space, Space) else client.registry.space(spec.space)
        known = {each.name: each.classes for each in client.registry.datasets()}
    return space, trial.architecture, f"Trial {trial.name}", known.get(spec.task.dataset)


def _told(architecture: Architecture) -> str:
    """The decisions for the head of the file, as far as people read them."""
    lines = [f"  {path} = {value!r}" for path, value in architecture.decisions.items()]
    left = len(lines) - _TOLD
    return "\n".join(lines[:_TOLD] + ([f"  and {left} more"] if left > 0 else []))
