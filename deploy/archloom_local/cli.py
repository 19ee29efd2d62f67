"""`archloom local`: the whole suite on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from archloom.errors import ArchloomError

if TYPE_CHECKING:
    from archloom_local.daemon import Running

app = typer.Typer(
    name="local",
    help="Run the whole suite on this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Ends the command with a sentence for whatever the user can mend."""
    try:
        yield
    except ArchloomError as error:
        _tell(error.message)
        raise typer.Exit(1) from None
    except ModuleNotFoundError as error:
        _tell(f"The local stack needs the module {error.name}: run `pip install 'archloom[local]'`.")
        raise typer.Exit(1) from None


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@app.command()
def up(
    workers: Annotated[int, typer.Option(min=1, help="Celery workers, one core each.")] = 2,
    replicas: Annotated[int, typer.Option(min=1, help="Controllers.")] = 1,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The first controller's.")] = 7461,
    data_root: Annotated[
        list[Path] | None,
        typer.Option(help="A folder that data sets and tables may be read from; repeatable."),
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="An installed strategy to serve; repeatable. All of them, if none is named."),
    ] = None,
    lease_seconds: Annotated[float, typer.Option(min=0.5, help="A silent worker loses its trials.")] = 30.0,
    foreground: Annotated[bool, typer.Option(help="Stay, until Ctrl-C.")] = False,
) -> None:
    """Start mongod, Redis, controllers, strategies and workers. What was stored before is there again."""
    roots = [root.resolve() for root in data_root or []]
    for root in roots:
        if not root.is_dir():
            raise typer.BadParameter(f"{root} is not a folder.", param_hint="--data-root")
    strategies = _strategies(strategy or [])
    with _one_sentence():
        from archloom_local import daemon
        from archloom_local.stack import StackSettings

        folder = daemon.home()
        if foreground:
            settings = StackSettings(
                replicas=replicas,
                workers=workers,
                port=port,
                lease_seconds=lease_seconds,
                data_roots=roots,
                strategies={name: name for name in strategies},
                monitor=True,
            )
            daemon.run(folder, settings, _tell)
            return
        running = daemon.Running.read(folder)
        if running is None:
            arguments = [f"--workers={workers}", f"--replicas={replicas}", f"--port={port}"]
            arguments += [f"--lease-seconds={lease_seconds}", *(f"--data-root={root}" for root in roots)]
            arguments += [f"--strategy={name}" for name in strategies]
            running = daemon.start(folder, arguments, _tell)
        else:
            _tell(f"It runs already, at {running.server}.")
    print(f"ARCHLOOM_SERVER={running.server}")


def _strategies(named: list[str]) -> list[str]:
    """Those that are to be served; BadParameter where one of them is not installed."""
    from archloom.strategy.load import installed_strategies

    installed = sorted(installed_strategies())
    for name in named:
        if name not in installed:
            raise typer.BadParameter(
                f"no strategy {name!r} is installed; there are {', '.join(installed)}.",
                param_hint="--strategy",
            )
    return named or installed


@app.command()
def down() -> None:
    """Stop what `up` started. Experiments and models stay stored."""
    with _one_sentence():
        from archloom_local import daemon

        stopped = daemon.stop(daemon.home())
    _tell("Stopped." if stopped else "Nothing runs.")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the processes, addresses and logs. Exit code 1 when nothing runs or it does not serve."""
    with _one_sentence():
        from archloom_local import daemon, health

        running = daemon.Running.read(daemon.home())
    if running is None:
        print("{}" if as_json else "Nothing runs. Start it with `archloom local up`.")
        raise typer.Exit(1)
    serves = health.serves(running.server)
    if as_json:
        shown = {"serving": serves, **asdict(running)}
        del shown["broker"]
        print(json.dumps(shown, indent=1))
    else:
        _show(running, serves)
    if not serves:
        raise typer.Exit(1)


def _show(running: Running, serves: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("process", "pid", "listens", "metrics", "log", box=None)
    for part in running.parts:
        table.add_row(part.name, str(part.pid), part.address, part.metrics, part.log)
    console = Console()
    console.print(f"{'Serving' if serves else 'Not serving'} at {running.server}")
    if running.monitor:
        console.print(f"Prometheus at http://{running.monitor}")
    console.print(table)
