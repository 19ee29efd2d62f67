"""The order in which ``grid`` takes the members of a space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from archloom.space import Architecture, Space, load_preset
from archloom.space.decisions.choices import Decisions
from archloom.space.decisions.sharing import Profile, Whole, product
from archloom_strategies.grid import turns
from archloom_strategies.grid.points import with_points
from archloom_strategies.grid.turns import Turns, nested
from random_spaces import MORE, drawn_spaces

IMAGE = "input: {x: {kind: image, shape: [3, 8, 8]}}\n"

TIED = f"""{IMAGE}
parts:
  inner: {{layer: conv, k: {{choice: [1, 3]}}, out: 4}}
  block:
    sequence:
      - {{layer: conv, name: first, k: {{choice: [1, 3, 5]}}, out: 4}}
      - {{name: second, choice: {{none: {{layer: identity}}, more: {{use: inner}}}}}}
body:
  sequence:
    - {{layer: conv, name: stem, k: {{choice: [1, 3]}}, out: 4}}
    - {{name: a, choice: {{plain: {{layer: relu}}, block: {{use: block}}, inner: {{use: inner}}}}}}
    - name: b
      choice:
        plain: {{layer: conv, k: {{choice: [1, 3, 5]}}, out: 4}}
        block: {{use: block}}
        inner: {{use: inner}}
recipe: {{lr: {{log: [0.001, 0.1]}}}}
"""


def members(space: Space, number: int, points: int = 3, key: int = 5) -> list[Decisions]:
    order = Turns(with_points(space.choices, points))
    return [order.member(turn, key) for turn in range(number)]


def counts(found: list[Decisions], path: str) -> list[int]:
    """How often each value of a decision occurs, where it exists."""
    return list(Counter(member[path] for member in found if path in member).values())


def small_spaces() -> Iterator[Space]:
    yield Space.from_yaml(TIED)
    yield from (space for space in drawn_spaces(60 * MORE, seed=11) if space.size() <= 400)


def test_each_member_comes_once() -> None:
    """Of random spaces: conditions, repetitions, subsets, ranges, floats, parts that are used in common."""
    for space in small_spaces():
        tree = with_points(space.choices, 2)
        numbered = []
        for number in range(tree.count):
            decided: Decisions = {}
            tree.at(number, None, decided)
            numbered.append(Architecture(decided).key)
        in_turn = [Architecture(member).key for member in members(space, tree.count, points=2)]
        assert len(set(in_turn)) == tree.count
        assert sorted(in_turn) == sorted(numbered)


def test_parts_used_in_common_are_decided_once_and_evenly() -> None:
    space = Space.from_yaml(TIED)
    assert isinstance(space.choices, Whole)
    found = members(space, 30)
    for path in ("stem.k", "a", "b"):
        assert max(counts(found, path)) - min(counts(found, path)) <= 1
    used = [member for member in found if "block" in (member["a"], member["b"])]
    assert [("block.first.k" in member) for member in found] == [(member in used) for member in found]
    assert min(counts(found, "block.first.k")) >= len(used) // 3 - 2


def used_again(parts: int) -> Space:
    """All parts stand in a row in one of two options, and behind each may stand again."""
    lines = [f"{IMAGE}parts:"]
    lines += [f"  p{number}: {{layer: conv, k: {{choice: [1, 3]}}, out: 4}}" for number in range(parts)]
    lines += ["body:", "  name: all", "  choice:", "    no: {layer: relu}", "    yes:", "      sequence:"]
    lines += [f"      - {{use: p{number}}}" for number in range(parts)]
    again = "{{name: c{0}, choice: {{a: {{layer: relu}}, b: {{use: p{0}}}}}}}"
    lines += [f"      - {again.format(number)}" for number in range(parts)]
    return Space.from_yaml("\n".join(lines) + "\n")


def test_uses_of_what_is_there_anyhow_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows may reach any subset of 14 parts; all that counts is that they are there."""
    space = used_again(3)
    assert len({Architecture(member).key for member in members(space, space.size())}) == space.size() == 65
    largest = 0

    def noted(one: Profile, other: Profile) -> Profile:
        nonlocal largest
        found = product(one, other)
        largest = max(largest, len(found))
        return found

    monkeypatch.setattr(turns, "product", noted)
    assert any(member["all"] == "yes" for member in members(used_again(14), 2))
    assert 0 < largest < 10


@pytest.mark.parametrize("preset", ["nasbench201", "darts", "mobile", "text_encoder"])
def test_the_first_decision_is_cut_evenly_after_every_turn(preset: str) -> None:
    space = load_preset(preset)
    info = next(info for info in space.decisions() if (info.domain.count or 1) > 1)
    found = members(space, 60)
    for number in range(info.domain.count or 1, 61):
        cut = counts(found[:number], info.path)
        assert len(cut) == info.domain.count
        assert max(cut) - min(cut) <= 1


@pytest.mark.parametrize("key", range(5))
@pytest.mark.parametrize("number", [20, 50, 125])
def test_each_decision_is_cut_evenly_however_deep_it_stands(number: int, key: int) -> None:
    space = load_preset("darts")
    found = members(space, number, key=key)
    for info in space.decisions():
        cut = counts(found, info.path)
        assert len(cut) == min(number, info.domain.count or 1)
        assert max(cut) - min(cut) <= 2


def test_deep_networks_come_no_more_often_than_shallow_ones() -> None:
    """Though of the members nearly all are of the greatest depth."""
    found = members(load_preset("text_encoder"), 110)
    assert set(Counter(member["blocks.count"] for member in found)) == set(range(2, 13))
    assert max(counts(found, "blocks.count")) <= 13
    assert min(counts(found, "blocks.count")) >= 7


def test_members_of_an_option_are_even_in_what_came_with_it() -> None:
    found = members(load_preset("text_encoder"), 300)
    path = "blocks[0].mix.convolution.k"
    assert len(counts(found, path)) == 3
    assert max(counts(found, path)) - min(counts(found, path)) <= 12


def test_no_decision_is_locked_to_another() -> None:
    """All pairs of two come before any comes twice, in a fresh order for each key."""
    space = Space.from_yaml(
        f"{IMAGE}body: {{sequence: [{{layer: conv, name: a, k: {{choice: [1, 3, 5]}}, out: 4}},"
        " {layer: conv, name: b, k: {choice: [1, 3, 5]}, out: 4},"
        " {layer: conv, name: c, k: {choice: [1, 3, 5]}, out: 4}]}"
    )
    found = members(space, 27)
    assert len({(member["a.k"], member["b.k"]) for member in found[:9]}) == 9
    # By chance two such decisions have 9 * (1 - (8 / 9)**9), about 6, of their pairs.
    others = [{(each["b.k"], each["c.k"]) for each in members(space, 9, key=key)} for key in range(20)]
    assert sum(map(len, others)) > 20 * 5
    assert len({tuple(map(str, members(space, 27, key=key))) for key in range(20)}) == 20


def test_a_value_whose_members_are_used_up_passes_its_turns_on() -> None:
    space = Space.from_yaml(
        f"{IMAGE}body: {{name: end, choice: {{plain: {{layer: relu}},"
        " few: {layer: conv, k: {choice: [1, 3]}, out: 4},"
        " many: {layer: conv, k: 1, out: {int: [1, 9]}}}}"
    )
    taken = [member["end"] for member in members(space, 12)]
    assert sorted(map(str, taken[:3])) == ["few", "many", "plain"]
    assert sorted(map(str, taken[3:5])) == ["few", "many"]
    assert taken[5:] == ["many"] * 7


def test_the_first_values_of_a_wide_range_lie_apart() -> None:
    space = Space.from_yaml(f"{IMAGE}body: {{layer: conv, name: wide, k: 1, out: {{int: [1, 10000]}}}}")
    for number in (8, 50, 100):
        widths = sorted(int(str(member["wide.out"])) for member in members(space, number))
        gaps = [after - before for before, after in zip([0, *widths], [*widths, 10_000], strict=True)]
        assert max(gaps) <= 4 * 10_000 / number


def test_values_too_many_to_list_are_dealt() -> None:
    assert len({nested(index, 2**200, "key") for index in range(100)}) == 100
    assert sorted(nested(index, 1000, "key") for index in range(1000)) == list(range(1000))
