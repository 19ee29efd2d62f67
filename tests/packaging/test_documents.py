"""What the documents show is what the code takes, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from archloom.spec import ExperimentSpec

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
EXAMPLES = sorted(ROOT.glob("examples/*.yaml"))


def test_the_readme_s_example_is_a_spec() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    spec = ExperimentSpec.from_dict(yaml.safe_load(text), folder=ROOT)
    assert spec.budget.trials == 20


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_specs(example: Path) -> None:
    assert ExperimentSpec.from_proto(ExperimentSpec.load(example).to_proto()) == ExperimentSpec.load(example)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_commands_of_the_readme_are_there() -> None:
    readme = (ROOT / "README.md").read_text()
    first_screen = "\n".join(readme.splitlines()[:24])
    for name in ("script/demo", "script/test"):
        assert name in first_screen
        assert (ROOT / name).stat().st_mode & 0o111
