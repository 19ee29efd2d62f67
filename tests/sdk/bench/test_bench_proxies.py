"""Scores of a benchmark: a table's columns under either name, and scores computed as they are asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from archloom.bench.options import read_benchmark
from archloom.bench.proxies import ProxyColumns, read_scorer
from archloom.bench.tabular import run_seeds
from archloom.cli import main
from archloom.errors import InvalidInput
from archloom.space import Space
from archloom.strategy.runtime import StrategyRuntime
from archloom.tables import Table
from archloom_evaluators.scores import NAMES
from archloom_evaluators.scores.live import LiveScores
from proxies_first import ProxiesFirst

TREE = {
    "input": {"x": {"kind": "vector", "shape": [4]}},
    "body": {
        "sequence": [
            {"name": "dense", "layer": "linear", "out": {"choice": [2, 4, 8, 16]}},
            {"name": "gate", "layer": {"choice": ["relu", "tanh"]}},
        ]
    },
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A space and its table: the wider, the better."""
    space = tmp_path / "space.yaml"
    space.write_text(json.dumps(TREE))
    rows = [
        f"{width},{gate},{width / 100},{width * 2}" for width in (2, 4, 8, 16) for gate in ("relu", "tanh")
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["dense.out,gate.layer,val,params", *rows]))
    return space, table


def test_a_table_answers_to_either_name_of_a_score_and_hides_what_is_searched_for() -> None:
    table = Table("t", ("nwot", "zen", "val"), {("a",): (1.0, 2.0, 3.0)})
    columns = ProxyColumns([table], hidden=["val"])
    assert set(columns) == {"nwot", "naswot", "zen"}
    assert columns["naswot"] == columns["nwot"] == {("a",): 1.0}


@pytest.mark.parametrize("how", ["live", "table"])
def test_a_strategy_finds_by_scores_what_it_would_not_by_order(files: tuple[Path, Path], how: str) -> None:
    space, table = files
    benchmark = read_benchmark(
        space=str(space),
        tables=[table],
        metrics=["val"],
        goals=[],
        report="",
        report_table=None,
        proxy_table=None if how == "live" else table,
        proxies="live" if how == "live" else "",
        fidelities=[],
        epochs=0,
        queries=2,
        parallel=2,
    )
    settings = {"proxies": ["parameters"], "candidates": 8}
    (run,) = run_seeds(StrategyRuntime(ProxiesFirst()), benchmark, settings, [1])
    assert (run.proxy_evaluations, run.queries) == (8, 2)
    assert run.curve[-1][1] == 0.16


def test_live_scores_are_the_networks_own() -> None:
    space = Space.from_dict(TREE)
    scorer = read_scorer("live", space)
    assert isinstance(scorer, LiveScores)
    assert tuple(scorer.names) == NAMES
    narrow, wide = space.at(0), space.at(6)
    assert narrow is not None
    assert wide is not None
    assert scorer(narrow, ["parameters"]) == {"parameters": 4 * 2 + 2 + 2 * 10 + 10}
    assert scorer(wide, ["synflow"])["synflow"] > scorer(narrow, ["synflow"])["synflow"]


def test_without_torch_the_option_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "archloom_evaluators.scores.live")
    with pytest.raises(InvalidInput, match=r"--proxies: `pip install 'archloom\[evaluators\]'`"):
        read_scorer("live", Space.from_dict(TREE))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--proxies", "life"), "--proxies: 'life': the only word is 'live'"),
        (("--proxies", "live", "--proxy-table", "x.csv"), "--proxies: give --proxy-table or --proxies"),
    ],
)
def test_a_mistake_in_the_option_is_one_sentence(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    space, table = map(str, files)
    command = f"bench tabular --space {space} --table {table} --metric val --strategy random".split()
    assert main([*command, *arguments]) == 1
    assert sentence in capsys.readouterr().err
