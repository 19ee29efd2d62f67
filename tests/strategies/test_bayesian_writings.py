"""Which of the architectures that make a network is proposed."""

from __future__ import annotations

from random import Random

import pytest
from archloom.space import Architecture, Space, Violation, load_preset
from archloom.space.nasbench201 import from_arch_string, to_arch_string
from archloom.strategy import NoSettings, Objective, ProposeRequest, SearchSpec
from archloom_strategies.bayesian.candidates import MOST, Candidates
from archloom_strategies.features import encoder_of

CELLS = load_preset("nasbench201")


def plain(
    space: Space, architecture: Architecture, rerouted: bool, asked: frozenset[str] = frozenset()
) -> Architecture:
    spec = SearchSpec(space, (Objective("accuracy"),))
    request: ProposeRequest[NoSettings, None] = ProposeRequest(
        spec, NoSettings(), 1, 1, None, (), 1, Random(1), read_history=tuple
    )
    candidates = Candidates(request, asked, (), Random(1))
    return candidates.plain(encoder_of(request)(architecture), rerouted)


WRITINGS = (
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
)


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_layer_behind_or_before_a_skip_connection_stands_where_that_leads(writing: str) -> None:
    one = from_arch_string(writing)
    direct = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    assert to_arch_string(plain(CELLS, one, rerouted=True)) == direct
    assert plain(CELLS, one, rerouted=False) == one
    # Where that was asked, in vain or not, it stays out.
    asked = frozenset([from_arch_string(direct).key])
    assert to_arch_string(plain(CELLS, one, True, asked)) != direct


@pytest.mark.parametrize("name", ["nasbench201", "darts", "mobile", "text_encoder"])
def test_it_makes_the_same_network_by_no_more_choices(name: str) -> None:
    space = load_preset(name)
    rng = Random(2)
    for _ in range(5):
        architecture = space.sample(rng)
        found = plain(space, architecture, rerouted=True)
        assert not space.check(found)
        assert space.graph(found).hash == space.graph(architecture).hash


def test_what_breaks_a_constraint_is_looked_at_no_more_than_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any layer less is too few here, and any place is as good."""
    options = "{none: {layer: identity}, conv: {layer: conv, k: 1, out: 3, norm: none, bias: false}}"
    space = Space.from_yaml(
        "input: {x: {kind: image, shape: [3, 8, 8]}}\n"
        f"body: {{name: r, repeat: {{count: 40, decisions: free, body: {{name: c, choice: {options}}}}}}}\n"
        "constraints: [depth >= 20]\n"
    )
    half = Architecture({f"r[{number}].c": ("none", "conv")[number % 2] for number in range(40)})
    assert space.check(half) == []
    looked = 0
    check = Space.check

    def counted(self: Space, architecture: Architecture) -> list[Violation]:
        nonlocal looked
        looked += 1
        return check(self, architecture)

    monkeypatch.setattr(Space, "check", counted)
    assert plain(space, half, rerouted=True) == half
    assert 20 < looked <= MOST
