"""The `archloom` command.

Help and dispatch stand here with the standard library alone: a command's module, and with it typer, rich
and grpc, is imported when that command runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from archloom.cli.commands import COMMANDS, plugged_in

_HELP = """\
Usage: archloom [--server HOST:PORT] [--project NAME] COMMAND ...

Neural architecture search as shared infrastructure.
"""

_OPTIONS = """\
Options:
  --server HOST:PORT  The server to talk to. [env ARCHLOOM_SERVER; default 127.0.0.1:7461]
  --project NAME      The project. [env ARCHLOOM_PROJECT; default "default"]
  --version           Print the version.
  -h, --help          Print this, or a command's own help.

A token, when the server wants one, is read from ARCHLOOM_TOKEN.
"""

_SETTINGS = {"--server": "ARCHLOOM_SERVER", "--project": "ARCHLOOM_PROJECT"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; answers its exit code: 0 done, 1 failed, 2 called wrongly, 130 interrupted."""
    rest = list(sys.argv[1:] if arguments is None else arguments)
    while rest and rest[0].startswith("-"):
        option, separator, value = rest.pop(0).partition("=")
        if option in ("-h", "--help"):
            print(help_text(), end="")
            return 0
        if option == "--version":
            from archloom import __version__

            print(f"archloom {__version__}")
            return 0
        if option not in _SETTINGS:
            return _usage(f"there is no option {option}")
        if not separator:
            if not rest:
                return _usage(f"{option} needs a value")
            value = rest.pop(0)
        os.environ[_SETTINGS[option]] = value
    if not rest:
        print(help_text(), end="")
        return 0
    name, *rest = rest
    home = COMMANDS[name].home if name in COMMANDS else plugged_in().get(name, "")
    if not home:
        from difflib import get_close_matches

        near = get_close_matches(name, [*COMMANDS, *plugged_in()], n=1)
        return _usage(f"there is no command {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    from archloom.cli.running import run

    return run(home, name, rest)


def help_text() -> str:
    """The help of the whole, with the commands of plug-ins."""
    lines = [_HELP, "Commands:"]
    width = max(map(len, [*COMMANDS, *plugged_in()])) + 2
    lines += [f"  {name:<{width}}{command.summary}" for name, command in COMMANDS.items()]
    for name, home in plugged_in().items():
        lines.append(
            f"  {name:<{width}}From {home.partition(':')[0].partition('.')[0]}; see `archloom {name} --help`."
        )
    return "\n".join([*lines, "", _OPTIONS])


def _usage(message: str) -> int:
    print(f"archloom: {message}. See `archloom --help`.", file=sys.stderr)
    return 2
