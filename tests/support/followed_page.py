"""A document's blocks, followed from top to bottom as a reader would."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archloom.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"(?P<before>.*?)^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"`([\w./-]+\.(?:yaml|js|json))`")
_END = "\x1e"


@dataclass(frozen=True)
class Block:
    """``file``: the file last named before it."""

    language: str
    text: str
    file: str


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks, in order."""
    file = ""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        named = _FILE.findall(found["before"])
        file = named[-1] if named else file
        yield Block(found["language"], found["text"], file)


def save_spaces(page: Path, folder: Path) -> None:
    """Each YAML block, under the name that stands before it."""
    for block in blocks(page):
        if block.language == "yaml":
            (folder / block.file).write_text(block.text, encoding="utf-8")


def commands(page: Path, folder: Path) -> Iterator[tuple[str, str, str]]:
    """(command, what the page says that it prints, what it prints) of every `archloom` command."""
    for block in blocks(page):
        if block.language != "console":
            continue
        for command, said in re.findall(r"^\$ archloom (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
            output = io.StringIO()
            with contextlib.chdir(folder), contextlib.redirect_stdout(output):
                code = main(shlex.split(command))
            assert code == 0, command
            yield command, said, output.getvalue()


def python(page: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """(what the page says, what came) of each Python block before a text block; all run as one program."""
    found = list(blocks(page))
    program = "".join(f"{block.text}print({_END!r})\n" for block in found if block.language == "python")
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    printed = iter(ran.stdout.split(f"{_END}\n"))
    came = ""
    after_python = False
    for block in found:
        if block.language == "python":
            came = next(printed)
        elif block.language == "text" and after_python:
            yield block.text, came
        after_python = block.language == "python"
