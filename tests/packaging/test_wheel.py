"""The wheel as a stranger gets it: built, and installed with the base dependencies alone."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "pymongo", "celery", "grpc", "pydantic", "typer", "rich", "yaml")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", f"--outdir={folder}", ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel and its base dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    subprocess.run([interpreter, "-m", "pip", "install", "--quiet", wheel], check=True)
    return interpreter


def answer(python: Path, code: str) -> object:
    """What the code prints as JSON, run away from the source tree."""
    ran = subprocess.run(
        [python, "-I", "-c", f"import json, sys\n{code}"], check=True, capture_output=True, cwd=python.parent
    )
    return json.loads(ran.stdout)


def test_only_names_that_begin_with_archloom_are_installed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {
        "archloom",
        "archloom_controller",
        "archloom_evaluators",
        "archloom_local",
        "archloom_strategies",
        "archloom-0.1.0.dist-info",
    }


def test_every_tracked_source_file_is_in_the_wheel(wheel: Path) -> None:
    """An ignore pattern that is too wide would drop a package silently."""
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    packages = ["sdk", "controller", "strategies", "evaluators", "deploy"]
    listed = subprocess.run(
        ["git", "ls-files", *(f"{package}/archloom*" for package in packages)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    tracked = [line.partition("/")[2] for line in listed.stdout.splitlines() if (ROOT / line).exists()]
    assert len(tracked) > 50
    assert [name for name in tracked if name not in shipped] == []


def test_importing_the_package_loads_nothing_heavy(python: Path) -> None:
    loaded = answer(
        python,
        f"import archloom; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))",
    )
    assert loaded == []


def test_the_base_installation_has_the_client_alone(python: Path) -> None:
    found = answer(
        python,
        "from importlib.util import find_spec\n"
        "import archloom\n"
        "archloom.Client, archloom.Space, archloom.Strategy, archloom.ExperimentSpec\n"
        "names = ('torch', 'numpy', 'pymongo', 'celery', 'buf')\n"
        "print(json.dumps([name for name in names if find_spec(name)]))",
    )
    assert found == []


def test_presets_and_rules_are_shipped(python: Path) -> None:
    sizes = answer(
        python,
        "from archloom.space import load_preset, preset_names\n"
        "print(json.dumps({name: str(load_preset(name).size()) for name in preset_names()}))",
    )
    assert isinstance(sizes, dict)
    assert sizes["nasbench201"] == "15625"


def test_the_command_works(python: Path) -> None:
    ran = subprocess.run(
        [python.parent / "archloom", "--help"], check=True, capture_output=True, text=True, cwd=python.parent
    )
    assert "serve-strategy" in ran.stdout


def test_a_command_whose_extra_is_missing_says_so(python: Path) -> None:
    ran = subprocess.run(
        [python.parent / "archloom", "local", "status"],
        check=False,
        capture_output=True,
        text=True,
        cwd=python.parent,
        env={"HOME": str(python.parent)},
    )
    sentence = "The local stack needs the module pymongo: run `pip install 'archloom[local]'`.\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", sentence)
