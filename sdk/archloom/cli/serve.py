"""`archloom serve-strategy`."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated

import typer

from archloom.cli.running import new_app
from archloom.errors import InvalidInput, Violation

app = new_app("Serve a strategy of your own as a plug-in.")


@app.command()
def serve_strategy(
    strategy: Annotated[str, typer.Argument(metavar="MODULE:CLASS", help="The strategy's class.")],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to answer; port 0 takes a free one.")
    ] = "",
    attach: Annotated[
        str,
        typer.Option(metavar="SERVER", help="Call out to this server instead of, or beside, listening."),
    ] = "",
    metrics_listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where Prometheus reads the metrics.")
    ] = "",
) -> None:
    """Runs until it is told to stop (SIGTERM, Ctrl-C). The module is looked for in the working folder too."""
    from archloom.strategy.serve import serve

    if not listen and not attach:
        listen = "127.0.0.1:0"
    kind = _load(strategy)
    serve(kind, listen=listen or None, attach=attach or None, metrics_listen=metrics_listen or None)


def _load(home: str) -> type:
    name, separator, attribute = home.partition(":")
    if not separator or not name or not attribute:
        raise InvalidInput([Violation("", f"{home!r} is not of the form module:Class")])
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(name), attribute)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            [Violation("", f"there is no module {error.name!r} to import {home} from")]
        ) from None
    except AttributeError:
        raise InvalidInput([Violation("", f"the module {name} has no {attribute!r}")]) from None
    if not isinstance(found, type):
        raise InvalidInput([Violation("", f"{home} is not a class")])
    return found
