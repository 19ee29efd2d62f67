"""What the documents show is what the code takes, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from archloom.spec import ExperimentSpec
from archloom.strategy.load import installed_strategies, load_strategy
from archloom.strategy.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
EXAMPLES = sorted(ROOT.glob("examples/*.yaml"))
ON_STRATEGIES = sorted([ROOT / "docs/strategies.md", *ROOT.glob("docs/strategies/*.md")])
#: What the parts of specs on those pages are put into.
WHOLE = {
    "task": {"dataset": "digits"},
    "space": "nasbench201",
    "objectives": [{"maximize": "val_accuracy"}],
    "strategy": "random",
    "budget": {"trials": 20},
}


def test_the_readme_s_example_is_a_spec() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    spec = ExperimentSpec.from_dict(yaml.safe_load(text), folder=ROOT)
    assert spec.budget.trials == 20


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_specs(example: Path) -> None:
    assert ExperimentSpec.from_proto(ExperimentSpec.load(example).to_proto()) == ExperimentSpec.load(example)


@pytest.mark.parametrize("page", ON_STRATEGIES, ids=lambda path: path.name)
def test_what_pages_on_strategies_show_of_specs_is_taken(page: Path) -> None:
    for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        shown = yaml.compose(text)
        assert isinstance(shown, yaml.MappingNode)
        for name, value in shown.value:  # one by one: a page may show two ways to write a field
            part = {name.value: yaml.safe_load(yaml.serialize(value))}
            spec = ExperimentSpec.from_dict({**WHOLE, **part}, folder=ROOT)
            if spec.strategy.name in installed_strategies():
                read_settings(load_strategy(spec.strategy.name).settings_type, spec.strategy.settings)


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
