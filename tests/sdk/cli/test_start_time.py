"""What is imported bounds how fast it starts; the seconds depend on the machine: see benchmarks/."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"grpc", "pydantic", "typer", "rich", "yaml", "google.protobuf", "jinja2", "prometheus_client"}


@pytest.mark.parametrize("statement", ["import archloom", "import archloom.cli", "import archloom.errors"])
def test_nothing_heavy_is_imported_before_it_is_used(statement: str) -> None:
    code = f"{statement}; import sys; print(*sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
