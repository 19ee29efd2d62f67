"""An exported file, and the commands that write and read, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import torch
from archloom.cli import main
from archloom.space import Space, load_preset
from archloom_evaluators.build import build_module
from archloom_evaluators.port import export_python
from safetensors.torch import save_file

torch.set_num_threads(1)
EXAMPLES = Path(__file__).parents[3] / "examples" / "import"

_RUN = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("archloom", "archloom_evaluators", "safetensors"):
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
import torch
from network import Network

network = Network().eval()
network.load_state_dict(torch.load(sys.argv[1] + "/weights.pt", weights_only=True))
with torch.no_grad():
    torch.save(network(torch.load(sys.argv[1] + "/input.pt", weights_only=True)), sys.argv[1] + "/output.pt")
assert not any(name.partition(".")[0] == "archloom" for name in sys.modules)
"""


def test_the_file_needs_torch_alone(tmp_path: Path) -> None:
    space = load_preset("resnet")
    graph = space.graph(space.sample(Random(3)), classes=10)
    exported = export_python(graph)
    network = build_module(graph).eval()
    example = torch.randn(2, 3, 32, 32)
    (tmp_path / "network.py").write_text(exported.text)
    weights = {exported.weights[name]: value for name, value in network.state_dict().items()}
    torch.save(weights, tmp_path / "weights.pt")
    torch.save(example, tmp_path / "input.pt")
    done = subprocess.run(
        [sys.executable, "-I", "-c", _RUN, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    output = torch.load(tmp_path / "output.pt", weights_only=True)
    with torch.no_grad():
        torch.testing.assert_close(output, network(example), rtol=0, atol=1e-6)


def test_every_name_of_imports_is_torchs_or_pythons() -> None:
    space = load_preset("speech")
    for seed in range(3):
        text = export_python(space.graph(space.sample(Random(seed)))).text
        for line in text.splitlines():
            if line.startswith(("import ", "from ")):
                root = line.split()[1].partition(".")[0]
                assert root == "torch" or root in sys.stdlib_module_names, line


def test_the_command_writes_an_architecture_and_its_weights(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    space = load_preset("mlp")
    architecture = space.sample(Random(0))
    graph = space.graph(architecture, classes=4)
    network = build_module(graph)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    given = json.dumps(architecture.to_dict())
    out = tmp_path / "models" / "best.py"
    command = ["export", "mlp", given, "--format", "python", "--classes", "4", "--out", str(out)]
    assert main([*command, "--weights", str(tmp_path / "weights.safetensors")]) == 0
    assert capfd.readouterr().out.split() == [str(out), str(out.with_suffix(".safetensors"))]
    assert out.read_text().startswith("# Space mlp\n")
    assert graph.hash in out.read_text()
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    assert main([*command, "--weights", str(other)]) == 1
    assert "holds another network's weights" in capfd.readouterr().err


def test_the_command_says_what_is_wrong(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "mlp", "{", "--format", "python"]) == 1
    assert "{: is no JSON" in capfd.readouterr().err
    assert main(["export", "mlp", str(tmp_path / "none.json"), "--format", "python"]) == 1
    assert "No such file" in capfd.readouterr().err
    assert main(["export", "mlp", "{}", "--format", "python"]) == 1
    assert "is not decided" in capfd.readouterr().err
    assert main(["export", "space.yaml", "--format", "python"]) == 1
    assert "which architecture of space.yaml?" in capfd.readouterr().err
    assert main(["export", "mlp", "--format", "python"]) == 1
    assert "which architecture of mlp?" in capfd.readouterr().err
    assert main(["export", "mlp", "{}"]) == 1
    assert "--format python" in capfd.readouterr().err


def test_a_module_is_imported_from_its_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "space.yaml"
    target = f"{EXAMPLES / 'resnet.py'}:small"
    patch = str(EXAMPLES / "resnet-patch.yaml")
    command = ["spaces", "import", target, "--input", "x=image:3x32x32"]
    assert main([*command, "--patch", patch, "-o", str(out)]) == 0
    assert "architectures" in capfd.readouterr().out
    assert Space.from_yaml(out.read_text()).size() > 1_000
    assert main(command) == 0
    assert Space.from_yaml(capfd.readouterr().out).size() == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere:f", "--input", "x=vector:1"], "'nowhere' cannot be imported"),
        (["none.py:f", "--input", "x=vector:1"], "there is no file none.py"),
        (["math", "--input", "x=vector:1"], "name a function that makes the module"),
        (["math:pip", "--input", "x=vector:1"], "math has no 'pip'"),
        (["platform:system", "--input", "x=vector:1"], "makes no torch.nn.Module, but a str"),
        (["platform:system", "--input", "x"], "--input: 'x' is no NAME=VALUE"),
        (["platform:system", "--input", "x=a", "--input", "x=b"], "'x=b' stands twice"),
    ],
)
def test_the_import_says_what_is_wrong(
    arguments: list[str], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["spaces", "import", *arguments]) == 1
    assert told in capfd.readouterr().err


def test_without_torch_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from archloom.cli import offers

    monkeypatch.setattr(offers, "entry_points", lambda **_: ())
    assert main(["export", "mlp", "{}", "--format", "python"]) == 1
    assert "pip install 'archloom[evaluators]'" in capfd.readouterr().err
