"""The command ``archloom bench tabular``: its lines, its options, its refusals."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from archloom.cli import main
from archloom.space import Space
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.server import StrategyServer
from archloom.tables import decision_keys
from archloom_strategies.evolution.strategy import Evolution
from scripted_bench import every_value


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "cells.csv"
    rows = [f"{key[0]},{value:.6f},{value + 1:.6f}" for key, value in every_value().items()]
    path.write_text("\n".join(["arch,val,test", *rows]) + "\n")
    other = path.with_name("tests.csv")
    other.write_text(
        "\n".join(["arch,final", *(f"{key[0]},{2 * value:.6f}" for key, value in every_value().items())])
    )
    return path


def command(table: Path, *arguments: str) -> list[str]:
    return [
        "bench",
        "tabular",
        "--space",
        "nasbench201",
        "--table",
        str(table),
        "--metric",
        "val",
        *arguments,
    ]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_one_line_a_seed_and_one_of_all(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (
        "--strategy",
        "random",
        "--queries",
        "30",
        "--seeds",
        "3",
        "--first-seed",
        "5",
        "--report",
        "test",
        "--json",
    )
    assert main(command(table, *arguments)) == 0
    *seeds, total = lines(capsys)
    assert [line["seed"] for line in seeds] == [5, 6, 7]
    for line in seeds:
        assert line["queries_to_best"] is None
        assert all(report == pytest.approx(metric + 1) for _, metric, report in line["curve"])
    assert set(total) == {
        "strategy",
        "median_queries_to_best",
        "least_queries_to_best",
        "most_queries_to_best",
        "found",
        "mean_report",
    }
    assert (total["strategy"], total["median_queries_to_best"], total["found"]) == ("random", 31, 0)
    assert list(total["mean_report"]) == ["25", "30", "50", "100", "150", "300"]
    assert main(command(table, *arguments)) == 0
    assert lines(capsys) == [*seeds, total]


def test_the_report_may_stand_in_another_file(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(table.with_name("tests.csv"))
    arguments = ("--strategy", "random", "--queries", "5", "--seeds", "1", "--json", "--report-table", other)
    assert main(command(table, *arguments, "--report", "final")) == 0
    assert all(
        report == pytest.approx(2 * metric, abs=1e-5) for _, metric, report in lines(capsys)[0]["curve"]
    )
    assert main(command(table, *arguments)) == 1
    assert "--report: name the column" in capsys.readouterr().err


def test_a_running_plugin_is_measured_at_its_address(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--queries", "12", "--seeds", "1", "--json", "--settings", '{"population": 4}')
    assert main(command(table, *arguments, "--strategy", "evolution")) == 0
    installed = lines(capsys)
    with StrategyServer(StrategyRuntime(Evolution())) as server:
        assert main(command(table, *arguments, "--strategy", server.address)) == 0
    assert lines(capsys) == installed


def test_a_space_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from archloom.testing.probe import TINY_SPACE

    keys = decision_keys(Space.from_yaml(TINY_SPACE))
    rows = [
        ",".join([str(number), *keys.of(architecture)])
        for number, architecture in enumerate(Space.from_yaml(TINY_SPACE).enumerate())
    ]
    (tmp_path / "tiny.yaml").write_text(TINY_SPACE)
    (tmp_path / "tiny.csv").write_text("\n".join([",".join(["loss", *keys.columns]), *rows]))
    arguments = [
        "bench",
        "tabular",
        "--space",
        str(tmp_path / "tiny.yaml"),
        "--table",
        str(tmp_path / "tiny.csv"),
    ]
    arguments += [
        "--metric",
        "loss",
        "--goal",
        "minimize",
        "--strategy",
        "random",
        "--queries",
        "20",
        "--seeds",
        "2",
    ]
    assert main([*arguments, "--json"]) == 0
    *seeds, total = lines(capsys)
    assert [line["queries"] for line in seeds] == [8, 8]
    assert total["found"] == 2
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "Found the table's best (0) in 2 of 2 seeds" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--strategy", "radnom"), "did you mean 'random'?"),
        (("--strategy", "random", "--metric", "vla"), "has no column 'vla'; did you mean 'val'?"),
        (("--strategy", "random", "--metric", "arch"), "has no column 'arch'"),
        (("--strategy", "random", "--report", "tset"), "--report: "),
        (("--strategy", "random", "--table", "no.csv"), "there is no file no.csv"),
        (("--strategy", "random", "--space", "nasbench210"), "did you mean 'nasbench201'?"),
        (("--strategy", "random", "--goal", "maximize", "--goal", "minimize"), "--goal: 2 goals for 1"),
        (("--strategy", "random", "--metric", "val"), "--metric: val, val: two of them have one name"),
        (("--strategy", "random", "--proxy-table", "no.csv"), "--proxy-table: there is no file no.csv"),
        (("--strategy", "random", "--settings", "{"), "--settings: it is not JSON"),
        (("--strategy", "random", "--settings", "[]"), "--settings: give a JSON object"),
        (("--strategy", "random", "--settings", '{"sampling": "all"}'), "settings.sampling: "),
        (("--strategy", "127.0.0.1:1"), "no strategy answers at 127.0.0.1:1"),
    ],
)
def test_a_mistake_is_one_sentence(
    table: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert main(command(table, *arguments)) == 1
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""


def test_several_metrics_from_several_tables_beside_random(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = table.with_name("latency.csv")
    rng = random.Random(2)
    rows = [f"{key[0]},{rng.random() + 1:.4f}" for key in every_value()]
    other.write_text("\n".join(["arch,latency_ms", *rows]) + "\n")
    arguments = ["--table", str(other), "--metric", "latency_ms", "--queries", "30", "--seeds", "2"]
    arguments += ["--strategy", "evolution"]
    assert main(command(table, *arguments, "--json")) == 0
    *seeds, total = lines(capsys)
    assert [line["seed"] for line in seeds] == [1000, 1001]
    assert all(0 < line["hypervolume"]["25"] < 1 for line in seeds)
    assert 0 < total["random"]["mean_hypervolume"]["25"] < 1
    assert total["mean_hypervolume"]["25"] == pytest.approx(
        sum(line["hypervolume"]["25"] for line in seeds) / 2
    )
    assert main(command(table, *arguments)) == 0
    assert "share of the true front's hypervolume" in " ".join(capsys.readouterr().out.split())
    assert main(command(table, *arguments, "--report", "test")) == 1
    assert "--report: several metrics" in capsys.readouterr().err


def test_of_a_short_search_the_end_is_shown(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(table, "--strategy", "random", "--queries", "5", "--seeds", "2")) == 0
    shown = capsys.readouterr().out
    means = shown[shown.index("so many") :]
    [columns] = [line for line in means.splitlines() if "strategy" in line]
    assert columns.replace("┃", " ").split() == ["strategy", "5"]
    [row] = [line for line in means.splitlines() if line.startswith("│ random")]
    assert re.search(r"│ random\s+│ \d", row)


def test_scores_that_are_not_offered_are_told(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = '{"scores": ["synflow", "score"]}'
    arguments = ("--strategy", "training-free", "--settings", scores, "--queries", "5", "--seeds", "1")
    assert main(command(table, *arguments)) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "asked for scores that are not offered: synflow" in shown
    assert "--proxies live" in shown
