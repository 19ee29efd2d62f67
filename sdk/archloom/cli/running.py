"""Running one command: every expected failure becomes a sentence and an exit code, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from archloom.errors import ArchloomError, InvalidInput


def run(home: str, name: str, arguments: Sequence[str]) -> int:
    """Runs the typer app at ``module:attribute`` and answers the exit code."""
    module, _, attribute = home.partition(":")
    try:
        app: typer.Typer = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        say(f"archloom: `{name}` needs the module {error.name}, which is not installed.")
        return 1
    try:
        app(list(arguments), prog_name=f"archloom {name}")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except ArchloomError as error:
        tell(error)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def tell(error: ArchloomError) -> None:
    """One line for each fault."""
    if not isinstance(error, InvalidInput):
        say(f"archloom: {error.message}")
        return
    for violation in error.violations:
        say(f"archloom: {violation}")


def say(line: str) -> None:
    """A line to standard error. Control characters of a server's text must not reach the terminal."""
    print("".join(sign if sign.isprintable() or sign == "\n" else "�" for sign in line), file=sys.stderr)


def new_app(summary: str) -> typer.Typer:
    """A command group, or a command when it gets one function alone."""
    return typer.Typer(
        help=summary,
        no_args_is_help=False,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
