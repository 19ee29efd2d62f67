from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from archloom.errors import InvalidInput
from archloom.strategy.build import build_id
from archloom.strategy.load import installed_strategies, load_strategy

MODULE = """
from archloom.strategy import ProposeRequest, ProposeResult, Strategy

class Mine(Strategy):
    name = "mine"

    def propose(self, request: ProposeRequest) -> ProposeResult:
        return ProposeResult()

class Needy(Mine):
    def __init__(self, wish):
        self.wish = wish

class Unfinished(Strategy):
    name = "unfinished"

ready = Mine()
number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the working directory, with a name of its own in each test."""
    name = f"mine_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"broken_{name}.py").write_text("import no_such_package_here\n")
    (tmp_path / f"raising_{name}.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    return name


def test_a_class_or_an_object_of_the_working_directory(module: str) -> None:
    assert load_strategy(f"{module}:Mine").name == "mine"
    assert load_strategy(f"{module}:ready").name == "mine"


def test_an_installed_strategy_by_name() -> None:
    assert {"random", "evolution"} <= set(installed_strategies())
    assert load_strategy("random").name == "random"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("{}:Mime", "has no 'Mime'; did you mean 'Mine'?"),
        ("{}:number", "not a subclass of archloom.Strategy"),
        ("{}:Needy", "cannot be made: TypeError"),
        ("{}:Unfinished", "has no propose method"),
        ("{}:", "not of the form module:Class"),
        ("no_such_module_{}:Mine", "there is no module"),
        ("broken_{}:Mine", "imports 'no_such_package_here', which is not installed"),
        ("raising_{}:Mine", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_wrong_name_is_one_sentence(module: str, target: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        load_strategy(target.format(module))
    assert sentence in refusal.value.message
    assert "\n" not in refusal.value.message


def test_an_unknown_name_has_near_matches() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'evolution'"):
        load_strategy("regularised-evolution")


def test_the_build_is_the_source(tmp_path: Path) -> None:
    """Equal source, equal build, in any process; one changed line, another build, in a helper module too."""
    package = tmp_path / "outside"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("def size():\n    return 3\n")
    (package / "late.py").write_text("from . import later\n")
    (package / "later.py").write_text("SIZE = 3\n")
    late = "\n\ndef work():\n    from .late import later\n\n    return later.SIZE\n"
    (package / "mine.py").write_text("from outside.helper import size\n" + MODULE + late)

    def build() -> str:
        program = "import outside.mine as m, archloom.strategy.build as b; print(b.build_id(m.Mine))"
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return run.stdout.strip()

    first = build()
    assert build() == first
    (package / "helper.py").write_text("def size():\n    return 4\n")
    second = build()
    assert second != first
    # Imported only when it is needed, and by another.
    (package / "later.py").write_text("SIZE = 4\n")
    assert build() not in (first, second)


def test_who_calls_others_by_name_has_the_builds_of_all_that_are_installed(tmp_path: Path) -> None:
    installed = tmp_path / "theirs-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = "their = theirs:Their\nother = their_package.other:Other\n"
    points += "broken = broken:Broken\nadrift = adrift:Adrift\n"
    (installed / "entry_points.txt").write_text(f"[archloom.strategies]\n{points}")
    (tmp_path / "theirs.py").write_text("raise RuntimeError('it is loaded')\n")
    (tmp_path / "their_package").mkdir()
    (tmp_path / "their_package" / "__init__.py").write_text("raise RuntimeError('it is loaded')\n")
    (tmp_path / "their_package" / "other.py").write_text("from . import part\n")
    (tmp_path / "their_package" / "part.py").write_text("SIZE = 3\n")
    (tmp_path / "broken.py").write_text("no python\n")
    (tmp_path / "adrift.py").write_text("from .. import nothing\n")
    inner = "from archloom_strategies.inner import Inner\n"
    (tmp_path / "composite.py").write_text(inner + MODULE)

    def builds() -> list[str]:
        program = (
            "import composite, archloom.strategy.build as b\n"
            "from archloom.strategy.load import load_strategy as load\n"
            "names = ['random', 'portfolio', 'multi-fidelity', 'training-free']\n"
            "print(*(b.build_id(each) for each in [composite.Mine, *(type(load(name)) for name in names)]))"
        )
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return run.stdout.split()

    before = builds()
    assert builds() == before
    for name in ("theirs.py", "their_package/part.py"):
        (tmp_path / name).write_text("SIZE = 4\n")
        after = builds()
        mine, random, *others = (one == other for one, other in zip(before, after, strict=True))
        assert random
        assert not mine
        assert not any(others)
        before = after


def test_a_build_does_not_depend_on_what_is_loaded(tmp_path: Path) -> None:
    """However a file is encoded."""
    package = tmp_path / "encoded"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "marked.py").write_bytes(b"\xef\xbb\xbffrom encoded import called\n")
    (package / "called.py").write_bytes(b"# -*- coding: latin-1 -*-\nNAME = '\xe9'\n")
    late = "\n\ndef work():\n    from encoded import marked\n\n    return marked\n"
    (package / "mine.py").write_text(MODULE + late)
    program = (
        "import encoded.mine as m, archloom.strategy.build as b\n"
        "before = b.build_id(m.Mine)\n"
        "import encoded.marked\n"
        "print(before, b.build_id(m.Mine))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    before, after = run.stdout.split()
    assert before == after


def test_a_class_without_a_file_has_a_build() -> None:
    made: dict[str, type] = {}
    text = "class Typed:\n    def f(self):\n        return lambda: {}\n"
    for number in (1, 1, 2):
        space: dict[str, type] = {"__name__": "typed_in_a_notebook"}  # type: ignore[dict-item]
        exec(text.format(number), space)
        made[f"{len(made)}"] = space["Typed"]
    builds = [build_id(each) for each in made.values()]
    assert builds[0] == builds[1] != builds[2]
