"""The live view of a search: a redrawn panel on a terminal, plain lines anywhere else."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from archloom.cli.output import cell, new_table, number, short_name
from archloom.cli.progress import Progress
from archloom.client import Client, Experiment, Trial, TrialCounts, WorkerInfo
from archloom.errors import ArchloomError
from archloom.report.outcome import shown_metrics
from archloom.spec import Objective

FRONT_SHOWN = 8
_POLL_SECONDS = 2.0
_PRESENT_SECONDS = 60.0


def follow(client: Client, name: str, console: Console | None = None, keep: bool = True) -> Experiment:
    """Shows a search until it has ended, and answers it as it stands then.

    `keep` leaves the last panel on the terminal; without it the panel makes room for what the caller prints.
    """
    console = console or Console(highlight=False, markup=False)
    experiment = client.experiments.get(name)
    progress = Progress.of(experiment)
    updates = client.experiments.watch(experiment.name)
    if not console.is_terminal:
        for update in updates:
            for line in progress.take(update):
                console.print(cell(line), soft_wrap=True)
        return client.experiments.get(experiment.name)
    view = LiveView(progress)
    with (
        _polling(client, view),
        Live(console=console, get_renderable=view.render, refresh_per_second=4, transient=not keep) as live,
    ):
        for update in updates:
            with view.lock:
                lines = progress.take(update)
                view.recent = [*view.recent, *lines][-3:]
            live.refresh()
    return client.experiments.get(experiment.name)


class LiveView:
    """What the panel shows. The watching thread, the polling one and rich's own share it under `lock`."""

    def __init__(self, progress: Progress) -> None:
        self.lock = threading.Lock()
        self.progress = progress
        self.counts: TrialCounts = progress.experiment.trials
        self.workers: tuple[WorkerInfo, ...] = ()
        self.problem = ""
        self.recent: list[str] = []

    def render(self) -> RenderableType:
        with self.lock:
            return Group(self._head(), self._bar(), self._bests(), self._front(), self._foot())

    def _head(self) -> Text:
        experiment = self.progress.experiment
        line = Text(experiment.display_name or short_name(experiment.name), style="bold")
        line.append(f"  {short_name(experiment.name)}  ", style="dim")
        line.append(f"{experiment.state}, phase {experiment.phase}", style="cyan")
        if experiment.degraded_reason:
            line.append(f"  degraded: {experiment.degraded_reason}", style="yellow")
        return line

    def _bar(self) -> Table:
        progress = self.progress
        done = progress.finished("search", "control", "user")
        row = Table.grid(padding=(0, 2))
        lower = f" ({progress.lower} below the full fidelity)" if progress.lower else ""
        words = f"{done} of {progress.trials} trials{lower}, {self.counts.leased} running"
        for word in ("failed", "infeasible"):
            if progress.count(word):
                words += f", {progress.count(word)} {word}"
        if progress.scored:
            words += f"; {progress.scored} proxy trials"
        finale = progress.created.get("finalist", 0)
        if finale:
            words += f"; finalists {progress.finished('finalist')} of {finale} runs"
        row.add_row(ProgressBar(total=max(progress.trials, 1), completed=done, width=30), cell(words))
        return row

    def _bests(self) -> Text:
        objective = self.progress.objectives[0]
        line = Text(f"best {objective.metric}: ")
        for role, title in (("search", "strategy"), ("control", "controls"), ("user", "yours")):
            best = self.progress.best.get(role)
            if best is not None:
                line.append(f"{title} {number(best.metrics[objective.metric])}", style="bold")
                line.append(f" (trial {best.number})   ", style="dim")
        if not self.progress.best:
            lower = self.progress.lower
            line.append("no trial has reached the full fidelity yet" if lower else "nothing yet", style="dim")
        return line

    def _front(self) -> RenderableType:
        return front_table(self.progress.front[:FRONT_SHOWN], self.progress.objectives)

    def _foot(self) -> Text:
        workers = present(self.workers)
        busy = sum(each.attempts > 0 for each in workers)
        words = f"workers: {len(workers)}, {busy} busy" if workers else "workers: none seen"
        line = Text(self.problem or words, style="yellow" if self.problem or not workers else "dim")
        for each in self.recent:
            line.append("\n").append(cell(each).append("", style="dim"))
        return line


def present(workers: Sequence[WorkerInfo]) -> list[WorkerInfo]:
    """Those heard of lately. The newest heartbeat is the measure: this machine's clock may differ."""
    times = [each.heartbeat_time for each in workers if each.heartbeat_time is not None]
    if not times:
        return []
    oldest = max(times) - timedelta(seconds=_PRESENT_SECONDS)
    return [each for each in workers if each.heartbeat_time is not None and each.heartbeat_time >= oldest]


def front_table(trials: Sequence[Trial], objectives: Sequence[Objective]) -> RenderableType:
    """The front, best first."""
    if not trials:
        return Text("front: empty", style="dim")
    metrics = shown_metrics(objectives, trials)
    table = new_table(("FRONT: TRIAL#", "ROLE", *(f"{name.upper()}#" for name in metrics)))
    for each in trials:
        values = [cell(number(each.metrics.get(name))) for name in metrics]
        table.add_row(str(each.number), each.role, *values)
    return table


@contextmanager
def _polling(client: Client, view: LiveView) -> Iterator[None]:
    """Reads what events do not tell, running trials and workers, beside the watch."""
    stop = threading.Event()

    def poll() -> None:
        name = view.progress.experiment.name
        while not stop.is_set():
            try:
                counts = client.experiments.get(name).trials
                workers = tuple(client.registry.workers())
                with view.lock:
                    view.counts, view.workers, view.problem = counts, workers, ""
            except ArchloomError as error:
                with view.lock:
                    view.problem = error.message
            stop.wait(_POLL_SECONDS)

    thread = threading.Thread(target=poll, name="archloom-live", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
