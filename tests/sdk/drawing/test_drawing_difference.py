"""What is said and shown of two networks that differ."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from archloom.drawing import Difference, difference, draw_difference
from archloom.drawing.picture import ADDED, REMOVED, Change, Picture, picture_of
from archloom.space import Architecture, Graph, Space, SpaceError, load_preset
from drawn import Drawing, read
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import spaces

IMAGE = {"x": {"kind": "image", "shape": [3, 8, 8]}}
SPACE = Space.from_dict(
    {
        "input": IMAGE,
        "body": {
            "sequence": [
                {"name": "stem", "layer": "conv", "k": {"choice": [3, 5]}, "out": {"choice": [4, 8]}},
                {"name": "bn", "when": "normed", "layer": "batch_norm"},
                {"name": "op", "layer": {"choice": ["relu", "gelu"]}},
                {
                    "name": "block",
                    "choice": {
                        "plain": {"name": "c", "layer": "conv", "k": 1},
                        "deep": {"name": "d", "layer": "separable", "k": 3, "norm": "none"},
                        "none": {"layer": "identity"},
                    },
                },
                {
                    "name": "blocks",
                    "repeat": {"count": {"int": [1, 3]}, "body": {"residual": {"layer": "conv", "k": 3}}},
                },
            ]
        },
        "let": {"normed": {"bool": [False, True]}},
    }
)
PLAIN: dict[str, Any] = {
    "normed": True,
    "stem.k": 3,
    "stem.out": 4,
    "op.layer": "relu",
    "block": "plain",
    "blocks.count": 2,
}


def graph_of(**changes: Any) -> Graph:
    given = PLAIN | {key.replace("_", "."): value for key, value in changes.items()}
    paths = {info.path for info in SPACE.decisions()}
    assert set(given) == paths, paths
    return SPACE.graph(Architecture(given))


def found(**changes: Any) -> Difference:
    return difference(graph_of(), graph_of(**changes))


def test_equal_networks_do_not_differ() -> None:
    same = found()
    assert not same
    assert same.lines() == ("The two networks are the same.",)
    assert not same.picture.compared


def test_a_changed_parameter_is_named() -> None:
    one = found(stem_k=5)
    assert one.changed == (("stem", (Change("k", "3", "5"),)),)
    assert (one.added, one.removed, one.reshaped, one.rewired) == ((), (), (), ())
    assert one.lines() == ("Layers: 1 changed",)
    assert one.sizes() == "9 layers · 436 → 628 parameters · 26.4k → 38.7k multiply-adds an example"


def test_another_operation_at_a_place_is_a_change() -> None:
    one = found(op_layer="gelu")
    assert one.changed == (("op", (Change("operation", "relu", "gelu"),)),)


def test_a_width_changes_its_layer_and_reshapes_those_after() -> None:
    one = found(stem_out=8)
    assert one.changed == (("stem", (Change("out", "4", "8"),)),)
    assert one.reshaped == (
        "bn",
        "op",
        "block.plain.c",
        "blocks[0]",
        "blocks[0].sum",
        "blocks[1]",
        "blocks[1].sum",
    )
    assert (one.added, one.removed) == ((), ())


def test_a_layer_that_is_gone_leaves_its_reader_rewired() -> None:
    one = found(normed=False)
    assert one.removed == ("bn",)
    assert one.rewired == ("op",)
    assert (one.added, one.changed) == ((), ())


def test_another_option_is_removed_and_added() -> None:
    one = found(block="deep")
    assert one.removed == ("block.plain.c",)
    names = ("depthwise", "depthwise.activation", "pointwise", "pointwise.activation")
    assert one.added == tuple(f"block.deep.d.{name}" for name in names)
    assert (one.changed, one.reshaped) == ((), ())


def test_the_same_layer_of_another_option_is_a_changed_one() -> None:
    def graph(option: str) -> Graph:
        options = {name: {"name": "c", "layer": "conv", "k": k} for name, k in (("small", 3), ("large", 5))}
        space = Space.from_dict({"input": IMAGE, "body": {"name": "block", "choice": options}})
        return space.graph(Architecture({"block": option}))

    one = difference(graph("small"), graph("large"))
    assert one.changed == (("block.large.c", (Change("k", "3", "5"),)),)
    assert (one.added, one.removed) == ((), ())


def test_repetitions_come_and_go() -> None:
    more, fewer = found(blocks_count=3), found(blocks_count=1)
    assert more.removed == fewer.added == ()
    assert more.added == ("blocks[2]", "blocks[2].sum")
    assert fewer.removed == ("blocks[1]", "blocks[1].sum")


def renamed(data: Any) -> Any:
    """The same space with other names."""
    if isinstance(data, dict):
        return {key: f"{value}_x" if key == "name" else renamed(value) for key, value in data.items()}
    return [renamed(each) for each in data] if isinstance(data, list) else data


@pytest.mark.parametrize("preset", ["resnet", "nasbench201", "darts", "text_encoder"])
def test_layers_with_other_paths_are_found_by_structure(preset: str) -> None:
    space = load_preset(preset)
    other = Space.from_dict(renamed(space.to_dict()))
    graph = space.graph(space.sample(Random(4)))
    again = other.graph(other.sample(Random(4)))
    assert again.hash == graph.hash
    assert {node.path for node in again.nodes} != {node.path for node in graph.nodes}
    same = difference(graph, again)
    assert not same, same.lines()


def without(picture: Picture, status: str) -> Counter[tuple[str, tuple[str, ...]]]:
    """(path, paths of its inputs) of all layers of one side of a difference."""
    kept = {place for place, layer in enumerate(picture.layers) if layer.status != status}
    listed: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for place in kept:
        layer = picture.layers[place]
        sources = [s for n, s in enumerate(layer.inputs) if layer.edge(n) != status]
        assert kept.issuperset(sources)
        listed[layer.path, tuple(sorted(picture.layers[source].path for source in sources))] += 1
    return listed


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(0, 1000))
def test_both_networks_can_be_read_from_a_difference(space: Space, seed: int) -> None:
    rng = Random(seed)
    try:
        first = space.sample(rng)
        second = space.mutate(first, rng)
        before, after = space.graph(first), space.graph(second)
    except SpaceError:
        return
    one = difference(before, after)
    assert bool(one) or before.hash == after.hash
    whole = picture_of(after)
    assert without(one.picture, REMOVED) == without(whole, REMOVED)
    # Layers that were matched by structure have their second path.
    old = without(one.picture, ADDED)
    assert sum(old.values()) == len(before.nodes)
    assert len(one.removed) + len(after.nodes) - len(one.added) == len(before.nodes)
    matched = {layer.path: layer for layer in one.picture.layers if layer.status not in (ADDED, REMOVED)}
    for node in after.nodes:
        if node.path in matched and not matched[node.path].changes:
            assert matched[node.path].operation == node.op
    read(draw_difference(before, after, engine="graphlay"))


def marks(drawing: Drawing) -> Counter[str]:
    """Signs in boxes, by what they stand for."""
    signs = {"+": ADDED, "−": REMOVED, "~": "changed"}
    return Counter(signs[text] for box in drawing.all() for text, _, _ in box.texts if text in signs)


def test_the_drawing_marks_by_colour_sign_and_line() -> None:
    drawn = draw_difference(graph_of(), graph_of(normed=False, stem_k=5), title="Two", engine="graphlay")
    drawing = read(drawn)
    words = [element.text for element in drawing.root.iter() if element.tag.endswith("text")]
    assert "k: 3 → 5" in words
    assert {"removed", "changed"} <= set(words), "the legend"
    assert words.count("−") == 2, "in the box, in the legend"
    assert words.count("~") == 2
    classes = Counter(element.get("class") for element in drawing.root.iter())
    assert classes["box removed"] == 1
    assert classes["edge removed"] == 2
    assert classes["edge added"] == 1
    assert ".al-removed{stroke-dasharray:6 4}" in drawn


def test_a_difference_folds_too() -> None:
    space = load_preset("nasbench201")
    first = space.sample(Random(1))
    changed = {**first.decisions, "stage.cell.node[3].edge[2]": "avg_pool_3x3"}
    assert first["stage.cell.node[3].edge[2]"] != "avg_pool_3x3"
    drawing = read(draw_difference(space.graph(first), space.graph(Architecture(changed)), engine="graphlay"))
    assert sum("× 5" in box.words for box in drawing.all()) == 3
    assert len(drawing.shown()) < 60


def test_the_order_of_a_concatenation_is_told() -> None:
    def graph(*sources: str) -> Graph:
        convs = [{"layer": "conv", "k": k, "from": "x", "as": name} for name, k in (("a", 1), ("b", 3))]
        nodes = [
            *convs,
            {"name": "joined", "layer": "concat", "from": list(sources), "as": "ab"},
            {"layer": "relu", "as": "r"},
        ]
        space = Space.from_dict({"input": IMAGE, "body": {"sequence": nodes}, "output": ["r", "b"]})
        return space.graph(Architecture({}))

    one = difference(graph("a", "b"), graph("b", "a"))
    assert one.changed == (("joined", (Change("order of inputs", "1 2", "2 1"),)),)


def test_another_output_is_told() -> None:
    def graph(where: int) -> Graph:
        nodes: list[dict[str, Any]] = [{"layer": "conv", "k": 1}, {"layer": "relu"}]
        nodes[where]["as"] = "y"
        nodes[1 - where]["as"] = "z"
        space = Space.from_dict({"input": IMAGE, "body": {"sequence": nodes}, "output": ["y", "z"]})
        return space.graph(Architecture({}))

    one = difference(graph(0), graph(1))
    assert one.outputs == ("y", "z")
    assert one.lines() == ("Outputs that are other tensors: y, z",)
    assert [name for name, _ in one.picture.outputs] == ["y", "z", "y (before)", "z (before)"]
