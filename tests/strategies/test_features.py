from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from archloom.space import Architecture, Graph, Space, load_preset
from archloom.space.nasbench201 import from_arch_string
from archloom.testing.probe import TINY_SPACE, TREE_SPACE
from archloom_strategies.blocks import blocks
from archloom_strategies.features import BLOCKS, Encoder, encode, measure, squared_distances
from archloom_strategies.routes import routes

CELLS = load_preset("nasbench201")
ENCODER = Encoder(CELLS)


def test_cells_that_make_one_network_have_its_rows_but_their_own_decisions() -> None:
    one = from_arch_string("|nor_conv_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|")
    other = from_arch_string(
        "|avg_pool_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|"
    )
    third = from_arch_string("|nor_conv_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|skip_connect~1|none~2|")
    encoder = Encoder(CELLS)
    a, b, c = (encoder(each) for each in (one, other, third))
    assert a.network == b.network != c.network
    rows = dict(zip(BLOCKS, zip(a.rows, b.rows, c.rows, strict=True), strict=True))
    assert not np.array_equal(rows["decisions"][0], rows["decisions"][1])
    for block in ("paths", "neighborhoods", "sizes", "routes"):
        first, second, different = rows[block]
        assert np.array_equal(first, second)
        assert not np.array_equal(first, different)
        # What the encoder took from the first, it would have made of the second.
        assert np.array_equal(encode(CELLS, [other])[0].rows[BLOCKS.index(block)], second)


def test_a_network_with_another_recipe_is_another_one() -> None:
    space = Space.from_yaml(TREE_SPACE)
    sgd = space.sample(random.Random(1))
    other = {"sgd": "adamw", "adamw": "sgd"}[str(sgd["recipe.optimizer"])]
    adamw = type(sgd)({**sgd.decisions, "recipe.optimizer": other})
    assert space.graph(sgd).hash == space.graph(adamw).hash
    first, second = encode(space, [sgd, adamw])
    assert first.network != second.network


@pytest.mark.parametrize("name", ["nasbench201", "mobile", "resnet", "mlp"])
def test_every_preset_has_a_yardstick(name: str) -> None:
    encoder = Encoder(load_preset(name))
    yardstick = measure(encoder, draws=12)
    assert "decisions" in yardstick.scales
    assert "sizes" in yardstick.scales
    assert all(scale > 0 for scale in yardstick.scales.values())
    assert yardstick == measure(Encoder(load_preset(name)), draws=12)


def test_a_block_that_is_equal_everywhere_is_left_out() -> None:
    text = TINY_SPACE.replace("k: {choice: [1, 3]}", "k: 3").replace(
        "out: {choice: [4, 8]}", "out: {choice: [4, 8]}"
    )
    assert "paths" not in measure(Encoder(Space.from_yaml(text))).scales


@pytest.mark.parametrize("name", ["darts", "mobile", "text_encoder", "nasbench201", "resnet"])
def test_rows_depend_neither_on_a_networks_pieces_nor_on_what_is_encoded_with_it(name: str) -> None:
    space = load_preset(name)
    rng = random.Random(3)
    graphs = [space.graph(space.sample(rng)) for _ in range(4)]
    for graph, found in zip(graphs, blocks(graphs), strict=True):
        layer_by_layer = Graph(graph.nodes, graph.inputs, graph.outputs)
        assert len(layer_by_layer.pieces) == layer_by_layer.layers == graph.layers
        [expected] = blocks([layer_by_layer])
        assert all(map(np.array_equal, found, expected))


def test_rows_do_not_depend_on_what_is_forgotten_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    space = load_preset("darts")
    rng = random.Random(4)
    graphs = [space.graph(space.sample(rng)) for _ in range(3)]
    kept = blocks(graphs)
    monkeypatch.setattr("archloom_strategies.blocks.KEPT_CHAINS", 0)
    monkeypatch.setattr("archloom_strategies.blocks.KEPT_PIECES", 0)
    for found, expected in zip(blocks(graphs), kept, strict=True):
        assert all(map(np.array_equal, found, expected))


def test_large_networks_are_gone_through_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose rows are the same; one that is larger than all may be comes alone."""
    rng = random.Random(7)
    space = load_preset("nasbench201")
    graphs = [space.graph(space.sample(rng)) for _ in range(9)]
    together = blocks(graphs)
    sizes = [len(graph.pieces) for graph in graphs]
    seen: list[int] = []

    def noted(some: Sequence[Graph]) -> Any:
        seen.append(sum(len(graph.pieces) for graph in some))
        return routes(some)

    monkeypatch.setattr("archloom_strategies.blocks.routes", noted)
    for most in (2 * max(sizes), 1):
        monkeypatch.setattr("archloom_strategies.blocks.TOGETHER", most)
        seen.clear()
        for some, apart in zip(together, blocks(graphs), strict=True):
            assert all(np.array_equal(one, other) for one, other in zip(some, apart, strict=True))
        assert sum(seen) == sum(sizes)
        assert max(seen) <= max(most, *sizes)


def test_what_a_network_was_encoded_as_holds_for_all_recipes() -> None:
    space = load_preset("text_encoder")
    encoder, rng = Encoder(space), random.Random(5)
    first = space.sample(rng)
    recipe = {path: value for path, value in space.sample(rng).decisions.items() if "recipe." in path}
    other = Architecture({**first.decisions, **recipe})
    assert encoder(first).network != encoder(other).network
    [alone] = encode(space, [other])
    assert encoder(other).network == alone.network
    assert all(map(np.array_equal, encoder(other).rows, alone.rows))


def test_distances_are_those_of_the_definition() -> None:
    numbers = np.random.default_rng(1).standard_normal((4, 3))
    others = numbers[:2] + 1
    by_hand = [[((one - other) ** 2).sum() for other in others] for one in numbers]
    assert squared_distances(numbers, others) == pytest.approx(np.array(by_hand))


def test_floats_are_a_block_of_their_own() -> None:
    text = TREE_SPACE.replace("optimizer: {choice: [sgd, adamw]}", "lr: {log: [0.001, 0.1]}")
    space = Space.from_yaml(text)
    assert space.continuous == ("recipe.lr",)
    drawn = [space.sample(random.Random(seed)) for seed in range(3)]
    rows = [each.rows[BLOCKS.index("floats")] for each in encode(space, drawn)]
    units = [math.log(float(str(each["recipe.lr"])) / 0.001) / math.log(100) for each in drawn]
    assert [row.tolist() for row in rows] == [[pytest.approx(unit, abs=1e-6)] for unit in units]
    assert "floats" in measure(Encoder(space)).scales
    assert "floats" not in measure(ENCODER).scales
