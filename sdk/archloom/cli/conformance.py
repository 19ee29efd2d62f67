"""``archloom conformance``: the published contract, asked of a plugin that runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from archloom.bench.options import read_settings
from archloom.cli.output import print_json, print_table
from archloom.cli.running import new_app
from archloom.errors import InvalidInput, Unavailable, Violation
from archloom.strategy.settings import near
from archloom.testing.kit import Kit, Outcome, Requirement, judge
from archloom.testing.requirements import REQUIREMENTS
from archloom.testing.session import RemotePlugin

app = new_app("Hold a running plug-in to its contract.")


@app.callback()
def conformance() -> None:
    """Hold a running plug-in to its contract."""


@app.command()
def strategy(
    plugin: Annotated[
        str,
        typer.Argument(
            metavar="HOST:PORT",
            help="Where the plugin listens, in whatever language; https://HOST:PORT over TLS. An installed "
            "strategy's name or module:Class is looked at in this process.",
        ),
    ],
    settings: Annotated[str, typer.Option(help="The settings to test it with, a JSON object.")] = "{}",
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="REQUIREMENT", help="Look at this one alone; may be repeated."),
    ] = None,
    trials: Annotated[
        int, typer.Option(min=4, max=1000, help="The length of each search; fewer for a slow strategy.")
    ] = 40,
    repeats_networks: Annotated[
        bool,
        typer.Option(
            "--repeats-networks", help="It may ask for a network twice that is written differently."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run whole searches against a strategy, and print which requirements it meets.

    A requirement that asks nothing of it (it keeps no state, say) is neither passed nor failed. Ends with 1
    where one is failed.
    """
    chosen = _chosen(only or [])
    with _opened(plugin, read_settings(settings), trials, repeats_networks) as kit:
        if kit.settings:
            kit.session(kit.spec()).check()  # else every requirement would fail for this one reason
        description = kit.plugin.describe()
        outcomes = list(_judged(chosen, kit, plugin))
    counts = Counter(outcome.status for outcome in outcomes)
    if as_json:
        print_json(_report(description.name, description.version, outcomes))
    else:
        _show(outcomes)
        summary = ", ".join(
            f"{counts[status]} {status}" for status in ("passed", "failed", "not asked") if counts[status]
        )
        print(f"\n{description.name} {description.version}: {summary}")
    if counts["failed"]:
        raise typer.Exit(1)


@contextmanager
def _opened(plugin: str, settings: Mapping[str, Any], trials: int, repeats_networks: bool) -> Iterator[Kit]:
    fields: dict[str, Any] = {"settings": settings, "trials": trials, "repeats_networks": repeats_networks}
    if plugin.rpartition(":")[2].isdecimal():
        with RemotePlugin(plugin) as remote:
            yield Kit(remote, **fields)
    else:
        from archloom.strategy.load import load_strategy

        yield Kit.of(type(load_strategy(plugin)), **fields)


def _judged(requirements: Sequence[Requirement], kit: Kit, plugin: str) -> Iterator[Outcome]:
    for requirement in requirements:
        try:
            yield judge(requirement, kit)
        except Unavailable as error:
            raise Unavailable(
                f"{plugin} no longer answers, since requirement {requirement.name!r} was looked at: "
                f"see the plugin's log ({error.message})"
            ) from None


def _chosen(only: Sequence[str]) -> Sequence[Requirement]:
    known = {requirement.name: requirement for requirement in REQUIREMENTS}
    unknown = [
        Violation("--only", f"there is no requirement {name!r}; {near(name, known)}")
        for name in only
        if name not in known
    ]
    if unknown:
        raise InvalidInput(unknown)
    return [known[name] for name in known if not only or name in only]


def _show(outcomes: Sequence[Outcome]) -> None:
    rows = [
        (
            outcome.requirement.name,
            outcome.status,
            f"{outcome.seconds:.1f}",
            f"{outcome.found}. {outcome.requirement.remedy}"
            if outcome.status == "failed"
            else outcome.found or outcome.requirement.title,
        )
        for outcome in outcomes
    ]
    print_table(("REQUIREMENT", "RESULT", "SECONDS#", "WHAT"), rows, "")


def _report(name: str, version: str, outcomes: Sequence[Outcome]) -> dict[str, object]:
    return {
        "strategy": name,
        "version": version,
        "passed": all(outcome.status != "failed" for outcome in outcomes),
        "requirements": [
            {
                "name": outcome.requirement.name,
                "title": outcome.requirement.title,
                "status": outcome.status,
                "found": outcome.found,
                "remedy": outcome.requirement.remedy if outcome.status == "failed" else "",
                "seconds": round(outcome.seconds, 3),
            }
            for outcome in outcomes
        ],
    }
