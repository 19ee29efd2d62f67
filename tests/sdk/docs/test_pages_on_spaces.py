"""docs/spaces, followed to the letter."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest
from archloom.space import Space, SpaceError, load_yaml, operation_specs
from archloom.space.operations import BUILT_IN, COMPOSITES
from archloom.v1 import space_pb2, space_service_pb2
from followed_page import DOCS, Block, blocks, commands, python, save_spaces
from google.protobuf import json_format

PAGES = DOCS / "spaces"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("reader")
    save_spaces(PAGES / "tutorial.md", made)
    return made


def test_the_tutorial_s_commands_print_what_it_says(folder: Path) -> None:
    ran = list(commands(PAGES / "tutorial.md", folder))
    assert len(ran) == 8
    for command, said, printed in ran:
        assert printed == said, command
    ElementTree.parse(folder / "step1.svg")


@pytest.mark.parametrize("page", ["tutorial.md", "errors.md", "reference.md", "README.md"])
def test_the_python_of_a_page_prints_what_it_says(page: str, folder: Path) -> None:
    for said, printed in python(PAGES / page, folder):
        assert printed == said
    if page == "tutorial.md":
        assert ElementTree.parse(folder / "mutation.svg").getroot().tag.endswith("svg")


REFERENCE = [block for block in blocks(PAGES / "reference.md") if block.language == "yaml"]


@pytest.mark.parametrize("block", REFERENCE, ids=lambda block: block.text.split("\n")[0])
def test_every_example_of_the_reference_is_a_space(block: Block) -> None:
    data = load_yaml(block.text)
    assert isinstance(data, dict)
    if "body" not in data:
        data = {"input": {"x": {"kind": "image", "shape": [8, 16, 16]}}, "body": data}
    space = Space.from_dict(data)
    rng = Random(0)
    for _ in range(5):
        space.graph(space.sample(rng))


def test_the_reference_knows_every_kind_of_node() -> None:
    text = (PAGES / "reference.md").read_text()
    for kind in (
        "layer",
        "sequence",
        "choice",
        "repeat",
        "cell",
        "parallel",
        "residual",
        "use",
        "scan",
        "map",
    ):
        assert f"\n### {kind}" in text or f", {kind}\n" in text, kind


def test_every_error_page_s_space_says_what_the_page_says() -> None:
    pairs = 0
    before: Block | None = None
    for block in blocks(PAGES / "errors.md"):
        if block.language == "text" and before is not None and before.language == "yaml":
            with pytest.raises(SpaceError) as caught:
                Space.from_yaml(before.text)
            assert "\n".join(map(str, caught.value.violations)) + "\n" == block.text
            pairs += 1
        before = block
    assert pairs == 11


def test_the_list_of_operations_is_up_to_date_and_whole() -> None:
    script = DOCS.parent / "script" / "spaces-reference"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    text = (PAGES / "operations.md").read_text()
    internal = {name for name, spec in operation_specs().items() if spec.internal}
    for name in (*BUILT_IN, *internal):  # other tests may have registered operations of their own
        assert (f"### {name}\n" in text or f"| `{name}` |" in text) is (name not in internal), name
    assert all(f"### {name}\n" in text for name in COMPOSITES)


def test_the_message_for_node_is_the_space_in_yaml() -> None:
    by_language = {block.language: block.text for block in blocks(PAGES / "from-node.md")}
    space = Space.from_yaml(by_language["yaml"])
    assert Space.from_proto(json_format.Parse(by_language["json"], space_pb2.Space())) == space
    assert by_language["text"].startswith(f"{space.size()} architectures")


def test_the_program_for_node_calls_what_there_is() -> None:
    program = "".join(block.text for block in blocks(PAGES / "from-node.md") if block.language == "js")
    service = space_service_pb2.DESCRIPTOR.services_by_name["SpaceService"]
    called = set(re.findall(r'call\("(\w+)"', program))
    assert len(called) == 5
    assert called <= set(service.methods_by_name)
    for name, request in re.findall(r'call\("(\w+)", \{ (\w+)', program):
        assert request in service.methods_by_name[name].input_type.fields_by_name
