from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import grpc
import pytest
import yaml
from archloom.cli import main
from archloom.cli.commands import COMMANDS, plugged_in
from archloom.v1 import experiment_pb2 as pb
from fake_server import NAME, FakeServer, artifact_of, refuse
from sample_search import Sample

SPEC = {
    "task": {"dataset": "digits"},
    "space": "nasbench201",
    "objectives": [{"maximize": "val_accuracy"}, {"minimize": "parameters"}],
    "strategy": "random",
    "budget": {"trials": 16},
}


@pytest.fixture(autouse=True)
def filled(fake: FakeServer, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.experiment, fake.trials, fake.report = sample
    monkeypatch.setenv("ARCHLOOM_SERVER", fake.address)
    monkeypatch.delenv("ARCHLOOM_TOKEN", raising=False)
    monkeypatch.delenv("ARCHLOOM_PROJECT", raising=False)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    return tmp_path / "spec.yaml"


def a_search(fake: FakeServer) -> list[pb.WatchExperimentResponse]:
    """The stream of a whole search: its first trials, a phase and the end."""
    kinds = {True: pb.EVENT_KIND_TRIAL_FAILED, False: pb.EVENT_KIND_TRIAL_FINISHED}
    events = [pb.Event(sequence=1, kind=pb.EVENT_KIND_TRIAL_CREATED, trial=fake.trials[0])]
    for number, trial in enumerate(fake.trials[:5], 2):
        events.append(pb.Event(sequence=number, kind=kinds[trial.HasField("failure")], trial=trial))
    phase = pb.EXPERIMENT_PHASE_FINALISTS
    events.append(pb.Event(sequence=7, kind=pb.EVENT_KIND_PHASE_CHANGED, phase=phase))
    fake.experiment.sequence = 7
    return [
        pb.WatchExperimentResponse(events=events[:3], resume_token="a"),
        pb.WatchExperimentResponse(events=events[3:], resume_token="b", experiment=fake.experiment),
    ]


def give_files(fake: FakeServer) -> None:
    for kind, data in (("onnx", b"network" * 400), ("weights", b"weights"), ("../../evil", b"no path")):
        import hashlib

        digest = hashlib.sha256(data).hexdigest()
        fake.blobs[digest] = data
        artifact = artifact_of(digest, fake, kind)
        artifact.file_name = "../../evil.txt" if "evil" in kind else ""
        fake.report.artifacts.append(artifact)


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from archloom.cli import main; main(['--help']);"
        "heavy = {'typer', 'rich', 'grpc', 'pydantic', 'yaml', 'google.protobuf'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and line.strip()}
    assert set(COMMANDS) | set(plugged_in()) <= listed
    assert "local" in listed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"Usage: archloom {name}" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["--sever", "x"], "there is no option --sever"),
        (["--server"], "--server needs a value"),
        (["run"], "SPEC"),
        (["experiments", "lst"], "lst"),
        (["experiments", "list", "--state", "gone"], "'gone' is not a state"),
        (["run", "x.yaml", "--no-watch", "--out", "here"], "--out needs --watch"),
        (["trials", "get", "sample", "zero"], "valid integer"),
    ],
)
def test_wrong_usage_is_told_and_ends_with_2(
    arguments: list[str], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert told.lower() in capfd.readouterr().err.lower()


def test_a_run_on_a_pipe_tells_a_line_a_trial_and_the_evidence(
    fake: FakeServer, spec: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.watches = [a_search(fake)]
    give_files(fake)
    assert main(["run", str(spec), "--out", str(tmp_path / "out")]) == 0
    out = capfd.readouterr().out
    assert out.startswith("experiment: sample\n")
    assert "search trial 1 finished: val_accuracy 0.8" in out
    assert "search trial 5 failed: diverged. The loss became NaN in epoch 2" in out
    assert "phase: finalists" in out
    assert "0.9710, 95% interval 0.9587 to 0.9797 (1,000 test examples, opened once)" in out
    assert "trial 15, retrained as trial 17, fixed by validation" in out
    assert "val_accuracy 0.9700 ± 0.0042 over 2 seeds" in out
    assert "tied with trial 10" in out
    assert "Not shown to be better than random search" in out
    assert "-0.03 over random, first 4 trials of each; rank test p = 0.31" in out
    assert "1.23 ms measured, spread 0.08 ms" in out
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        "evil.txt",
        "model.onnx",
        "report.html",
        "result.json",
        "weights.safetensors",
    ]
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == b"weights"


def test_run_as_json_prints_result_json_alone(
    fake: FakeServer, spec: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.watches = [a_search(fake)]
    assert main(["run", str(spec), "--json", "--out", str(tmp_path / "out")]) == 0
    printed = capfd.readouterr()
    result = json.loads(printed.out)
    assert "phase: finalists" in printed.err
    assert result == json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["schema"] == "archloom.result/1"
    assert result["test"]["value"] == 0.971
    assert result["control"]["verdict"] == "not_shown"
    assert result["files"] == {"report": "report.html", "result": "result.json"}


def test_a_run_that_failed_ends_with_1(
    fake: FakeServer, spec: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.experiment.state = pb.EXPERIMENT_STATE_FAILED
    fake.experiment.state_reason = "every trial failed"
    fake.watches = [a_search(fake)]
    assert main(["run", str(spec)]) == 1
    assert "sample failed: every trial failed" in capfd.readouterr().out


def test_a_run_may_be_started_and_left(
    fake: FakeServer, spec: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(spec), "--no-watch", "--name", "sample"]) == 0
    assert "archloom experiments watch sample" in capfd.readouterr().out
    assert fake.asked("CreateExperiment")[0].experiment_id == "sample"
    assert fake.asked("WatchExperiment") == []


def test_each_fault_of_the_server_is_one_line(
    fake: FakeServer, spec: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fields = {"spec.strategy.name": "there is no strategy 'x'", "spec.task.dataset": "unknown \x1b[31m"}
    fake.failures["CreateExperiment"] = [
        partial(refuse, code=grpc.StatusCode.INVALID_ARGUMENT, message="2 faults", violations=fields)
    ]
    assert main(["run", str(spec)]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "archloom: strategy.name: there is no strategy 'x'"
    assert lines[1].startswith("archloom: task.dataset: unknown")
    assert "\x1b" not in lines[1]
    assert len(lines) == 2


def test_faults_of_a_spec_need_no_server(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(SPEC | {"budget": {"trials": 0}, "nme": 1}))
    assert main(["--server", "127.0.0.1:9", "run", str(tmp_path / "bad.yaml")]) == 1
    assert capfd.readouterr().err.splitlines() == [
        "archloom: budget.trials: must be at least 1, not 0",
        "archloom: nme: is not a field (did you mean 'name'?)",
    ]


def test_no_server_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--server", "127.0.0.1:9", "experiments", "list"]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "archloom local up" in line
    assert "127.0.0.1:9" in line


def test_what_is_not_there_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments", "get", "other"]) == 1
    assert capfd.readouterr().err == "archloom: There is no projects/default/experiments/other.\n"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["experiments", "list"], 3),
        (["experiments", "list", "--limit", "2"], 2),
        (["trials", "list", "sample"], 16),
        (["trials", "list", "sample", "--role", "control", "--limit", "3"], 3),
        (["front", "sample"], 3),
        (["strategies", "list"], 2),
    ],
)
def test_every_listing_reads_and_parses(
    arguments: list[str], count: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    assert len(capfd.readouterr().out.splitlines()) == count + 1
    assert main([*arguments, "--json"]) == 0
    assert len(json.loads(capfd.readouterr().out)) == count


def test_trials_are_listed_with_their_fidelity_where_there_are_several(
    fake: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["trials", "list", "sample"]) == 0
    assert "FIDELITY" not in capfd.readouterr().out
    fake.experiment.spec.fidelity.epochs = 27
    fake.trials[0].fidelity.epochs = 1
    fake.trials[1].fidelity.data_fraction = 0.25
    for each in fake.trials[2:]:
        each.fidelity.epochs = 27
    assert main(["trials", "list", "sample"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert "FIDELITY" in lines[0]
    for line, told in zip(lines[1:4], ("1 epoch ", "25% of the data ", "27 epochs "), strict=True):
        assert told in line
    fake.trials[0].fidelity.Clear()
    fake.trials[0].fidelity.data_fraction = 0.5
    assert main(["trials", "get", "sample", "1"]) == 0
    assert re.search(r"fidelity +50% of the data", capfd.readouterr().out)


def test_a_trial_is_shown_with_what_the_strategy_said_of_it(
    fake: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.trials[0].note = "promoted to rung 2 of 3"
    fake.trials[0].parents.extend([3, 5])
    assert main(["trials", "get", "sample", "1"]) == 0
    shown = capfd.readouterr().out
    assert re.search(r"parents +3, 5\b", shown)
    assert re.search(r"note +promoted to rung 2 of 3\b", shown)


@pytest.mark.parametrize(("state", "told"), [("RUNNING", "not fixed yet"), ("FAILED", "none")])
def test_a_winner_is_awaited_while_there_may_be_one(
    fake: FakeServer, capfd: pytest.CaptureFixture[str], state: str, told: str
) -> None:
    fake.experiment.winner = ""
    fake.experiment.state = pb.ExperimentState.Value(f"EXPERIMENT_STATE_{state}")
    assert main(["experiments", "get", "sample"]) == 0
    assert re.search(rf"winner +{told}\b", capfd.readouterr().out)


def test_one_of_each_reads_and_parses(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments", "get", "sample"]) == 0
    assert "15 completed" in capfd.readouterr().out
    assert main(["experiments", "get", "sample", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["spec"]["strategy"]["name"] == "evolution"
    assert main(["trials", "get", "sample", "1"]) == 0
    text = capfd.readouterr().out
    assert "stage.cell.node" in text
    assert "PROGRESS" in text
    assert main(["trials", "get", "sample", "1", "--json"]) == 0
    trial = json.loads(capfd.readouterr().out)
    assert trial["number"] == 1
    assert len(trial["architecture"]) == 6


def test_pause_tells_the_state(fake: FakeServer, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments", "pause", "sample"]) == 0
    assert capfd.readouterr().out == "sample: paused\n"


def test_delete_asks_first(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert main(["experiments", "delete", "sample"]) == 1
    assert fake.asked("DeleteExperiment") == []
    assert main(["experiments", "delete", "sample", "--yes"]) == 0
    assert len(fake.asked("DeleteExperiment")) == 1


def test_replay_tells_the_first_difference(fake: FakeServer, capfd: pytest.CaptureFixture[str]) -> None:
    fake.replayed = [pb.ReplayExperimentResponse(step=n, equal=True, steps_total=3) for n in (1, 2)]
    assert main(["replay", "sample"]) == 0
    assert capfd.readouterr().out == "2 steps replayed: every answer is equal.\n"
    fake.replayed.append(pb.ReplayExperimentResponse(step=3, difference="a: stored 1, now 2", steps_total=3))
    assert main(["replay", "sample"]) == 1
    assert capfd.readouterr().out == "Step 3 of 3 differs: a: stored 1, now 2\n"
    assert main(["replay", "sample", "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["first_difference"]["step"] == 3


def test_export_writes_the_files_again(
    fake: FakeServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    give_files(fake)
    assert main(["export", NAME, "--out", str(tmp_path)]) == 0
    assert str(tmp_path / "model.onnx") in capfd.readouterr().out


def test_spaces_need_no_server(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--server", "127.0.0.1:9", "spaces", "validate", "nasbench201"]) == 0
    assert capfd.readouterr().out == "nasbench201: valid, 15,625 architectures\n"
    assert main(["spaces", "show", "nasbench201", "--yaml"]) == 0
    (tmp_path / "again.yaml").write_text(capfd.readouterr().out)
    assert main(["spaces", "validate", str(tmp_path / "again.yaml"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["size"] == 15625
    (tmp_path / "bad.yaml").write_text("body: {layer: convv}\n")
    assert main(["spaces", "validate", str(tmp_path / "bad.yaml")]) == 1
    assert "archloom: body.layer: there is no operation 'convv'" in capfd.readouterr().err
    assert main(["spaces", "show", "nasbench"]) == 1
    assert "neither a file nor a preset" in capfd.readouterr().err


def test_a_reader_that_leaves_early_is_no_failure(fake: FakeServer) -> None:
    command = f"{sys.executable} -m archloom trials list sample --json | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.stdout == "[\n"


def test_ctrl_c_leaves_the_search_running(fake: FakeServer, spec: Path) -> None:
    told = a_search(fake)[:1]
    fake.watches = [[*told, lambda context: _until_cancelled(context)]]
    command = [sys.executable, "-m", "archloom", "run", str(spec)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "experiment: sample\n"
        assert "search trial 1 finished" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "sample goes on without you" in errors
    assert "Traceback" not in errors


def _until_cancelled(context: grpc.ServicerContext) -> None:
    ended = threading.Event()
    if context.add_callback(ended.set):
        ended.wait(60)
