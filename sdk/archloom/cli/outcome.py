"""The end of a search: its files, and what is printed about it."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from archloom.cli.live import front_table
from archloom.cli.output import cell, number, short_name
from archloom.client import Artifact, Client, ControlComparison, Experiment, TestScore
from archloom.errors import InvalidInput, Violation
from archloom.report import Outcome, render_page, result_of

_FILE_NAMES = {"onnx": "model.onnx", "weights": "weights.safetensors"}
_FRONT_PRINTED = 20


def gather(client: Client, experiment: Experiment) -> Outcome:
    """The evidence, and the trials that the plots are drawn from."""
    listed = client.trials.list(experiment.name, roles=("search", "control", "user"))
    trials = [trial for trial in listed if not trial.fidelity.proxies]
    return Outcome(experiment, client.experiments.report(experiment.name), trials)


def write_files(client: Client, outcome: Outcome, folder: Path | None) -> dict[str, Any]:
    """Downloads the models, writes report.html and result.json; without a folder only answers the result."""
    if folder is None:
        return result_of(outcome, {})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files: dict[str, str] = {}
        for artifact in outcome.report.artifacts:
            name = _file_name(artifact, set(files.values()))
            client.artifacts.download(artifact, folder / name)
            files[artifact.kind if artifact.kind not in files else name] = name
        files |= {"report": "report.html", "result": "result.json"}
        result = result_of(outcome, files)
        (folder / "report.html").write_text(render_page(outcome), encoding="utf-8")
        text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "result.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInput([Violation("--out", f"{folder} cannot be written to: {error.strerror}")]) from None
    return result


def _file_name(artifact: Artifact, taken: set[str]) -> str:
    """A plain name inside the folder, whatever the server offers."""
    offered = PurePosixPath(artifact.file_name.replace("\\", "/")).name.lstrip(".")
    name = _FILE_NAMES.get(artifact.kind) or offered or artifact.kind or "artifact"
    return name if name not in taken else f"{artifact.digest[:8]}-{name}"


def print_outcome(outcome: Outcome, result: dict[str, Any], folder: Path | None) -> None:
    """What the search found, for people."""
    console = Console(highlight=False, markup=False)
    experiment, report = outcome.experiment, outcome.report
    if experiment.state != "succeeded":
        reason = f": {experiment.state_reason}" if experiment.state_reason else ""
        console.print(cell(f"{short_name(experiment.name)} {experiment.state}{reason}"))
    console.print()
    console.print(front_table(report.front[:_FRONT_PRINTED], outcome.objectives))
    if len(report.front) > _FRONT_PRINTED:
        console.print(
            f"... and {len(report.front) - _FRONT_PRINTED} more: archloom front {short_name(experiment.name)}"
        )
    console.print()
    lines = [*headline(outcome), *(("note", note) for note in report.notes)]
    if console.is_terminal:
        # Two columns, so that a long sentence wraps beside its title and not under it.
        grid = Table.grid(padding=(0, 2))
        for title, text in lines:
            grid.add_row(Text(title, style="bold", no_wrap=True), cell(text))
        console.print(grid)
    else:
        for title, text in lines:
            console.print(cell(f"{title:<18}{text}"), soft_wrap=True)
    if folder is not None:
        print_files(result, folder)


def headline(outcome: Outcome) -> list[tuple[str, str]]:
    """The numbers that matter, each with what makes it honest."""
    report, winner = outcome.report, outcome.winner
    lines: list[tuple[str, str]] = []
    if winner is not None:
        lines.append(("winner", _winner_text(outcome)))
    if report.test is not None:
        lines.append((report.test.metric.replace("_", " "), _test_text(report.test)))
    parameters = report.winner_metrics.get("parameters") or (
        report.network.parameters if report.network else None
    )
    if parameters is not None:
        lines.append(("parameters", number(float(parameters))))
    latency = report.winner_metrics.get("latency_ms")
    if latency is not None:
        spread = report.winner_metrics.get("latency_spread_ms")
        lines.append(
            (
                "latency",
                f"{latency:.3g} ms measured" + (f", spread {spread:.2g} ms" if spread is not None else ""),
            )
        )
    if report.control is not None:
        lines.append(("margin", _margin_text(report.control)))
        lines.append(("against random", report.control.statement or report.control.verdict.replace("_", " ")))
    return lines


def _test_text(test: TestScore) -> str:
    if test.lower == test.upper:
        return f"{test.value:.4f} on the test split, opened once"
    return (
        f"{test.value:.4f}, 95% interval {test.lower:.4f} to {test.upper:.4f} "
        f"({test.examples:,} test examples, opened once)"
    )


def _margin_text(control: ControlComparison) -> str:
    """The first m trials against m controls, and the rank test over all."""
    if control.margin is None:
        margin = "not identified"
    else:
        margin = f"{control.margin:+.4g} over random, first {control.matched_trials} trials of each"
    return margin + (f"; rank test p = {control.p_value:.3g}" if control.p_value is not None else "")


def _winner_text(outcome: Outcome) -> str:
    report, winner = outcome.report, outcome.winner
    assert winner is not None
    text = f"trial {short_name(winner.trial)}"
    if report.winner != winner.trial:
        text += f", retrained as trial {short_name(report.winner)}"
    text += ", fixed by validation"
    if winner.validation_mean is not None:
        text += f" ({outcome.objectives[0].metric} {winner.validation_mean:.4f}"
        if len(winner.runs) > 1 and winner.validation_stddev is not None:
            text += f" ± {winner.validation_stddev:.4f} over {len(winner.runs)} seeds"
        text += ")"
    if report.tied_with:
        text += ", tied with trial " + ", ".join(map(short_name, report.tied_with))
    return text


def print_files(result: dict[str, Any], folder: Path) -> None:
    for kind, name in result["files"].items():
        print(f"{kind:<18}{folder / name}")
