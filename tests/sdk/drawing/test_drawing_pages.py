"""Whole drawings of the presets' networks, read back from their SVG."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest
from archloom.drawing import DrawingUnavailable, draw, draw_picture
from archloom.drawing.drawing import MOST_LAYERS
from archloom.drawing.metrics import shorten, text_width
from archloom.drawing.picture import Layer, Picture
from archloom.drawing.theme import DARK, LIGHT, Theme
from archloom.drawing.words import FAMILIES, counted, family
from archloom.space import Graph, Space, SpaceError, load_preset, preset_names
from archloom.space.operations import BUILT_IN
from drawn import SVG, Drawing, Rectangle, put_dot_on_path, read
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import spaces


def graph_of(preset: str, seed: int = 0) -> Graph:
    space = load_preset(preset)
    return space.graph(space.sample(Random(seed)))


def check_page(drawing: Drawing) -> None:
    for box in drawing.all():
        assert box.x >= 0
        assert box.x + box.width <= drawing.width
        assert box.y + box.height <= drawing.height
        for text, left, right in box.texts:
            if box.kind != "port":
                assert left >= box.x - 0.01, text
                assert right <= box.x + box.width + 0.01, text
        check_apart(box.children, box)
    check_apart(drawing.boxes, None)
    for start, end, _ in drawing.edges:
        assert any(touches(box, start, below=True) for box in drawing.all()), start
        assert any(touches(box, end, below=False) for box in drawing.all()), end


def check_apart(boxes: list[Rectangle], outside: Rectangle | None) -> None:
    for number, box in enumerate(boxes):
        if outside is not None and box.kind != "port":
            assert outside.x < box.x
            assert box.x + box.width < outside.x + outside.width
            assert outside.y < box.y
            assert box.y + box.height < outside.y + outside.height
        for other in boxes[:number]:
            across = box.x < other.x + other.width and other.x < box.x + box.width
            along = box.y < other.y + other.height and other.y < box.y + box.height
            assert not (across and along), (box.words, other.words)


def touches(box: Rectangle, point: tuple[float, float], below: bool) -> bool:
    side = box.y + box.height if below else box.y
    # Arrows end where their heads begin; a dot is met anywhere.
    return box.x - 0.1 <= point[0] <= box.x + box.width + 0.1 and abs(point[1] - side) <= 9.1


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_is_drawn_without_overlaps(preset: str) -> None:
    graph = graph_of(preset)
    drawing = read(draw(graph, title=preset, engine="graphlay"))
    check_page(drawing)
    everything = "\n".join(box.tip for box in drawing.shown())
    assert all(node.op.replace("_", " ") in everything for node in graph.nodes)
    assert f"{len(graph.nodes)} layers" in drawing.root.findtext(f"{SVG}text[2]", "")


def test_graphviz_draws_them_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", put_dot_on_path(tmp_path))
    body = {"residual": {"layer": "conv", "k": 3, "norm": "batch"}}
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "image", "shape": [3, 8, 8]}},
            "body": {"name": "blocks", "repeat": {"count": 4, "body": body}},
        }
    )
    drawn = draw(space.graph(space.sample(Random(0))))
    drawing = read(drawn)
    check_page(drawing)
    assert [box.kind for box in drawing.boxes] == ["stack", "cluster", "output"]
    assert "blocks[0–3]" in drawing.boxes[1].words
    assert "× 4" in drawing.boxes[1].words


@pytest.mark.parametrize(
    ("preset", "seed", "least", "most"),
    [("nasbench201", 0, 90, 30), ("mobile", 1, 150, 60), ("darts", 0, 800, 110), ("resnet", 2, 90, 30)],
)
def test_large_networks_fold_to_few_boxes(preset: str, seed: int, least: int, most: int) -> None:
    graph = graph_of(preset, seed)
    assert len(graph.nodes) >= least
    folded = read(draw(graph, engine="graphlay")).shown()
    assert len(folded) <= most
    assert any("× " in box.words or "built like" in box.words for box in folded)


@settings(max_examples=40, deadline=None)
@given(spaces(), st.booleans())
def test_whatever_the_grammar_makes_is_drawn_without_overlaps(space: Space, unfold: bool) -> None:
    try:
        graph = space.graph(space.sample(Random(0)))
    except SpaceError:
        return
    check_page(read(draw(graph, unfold=unfold, engine="graphlay")))


def test_unfolded_every_layer_is_there() -> None:
    graph = graph_of("nasbench201", 1)
    boxes = read(draw(graph, unfold=True, engine="graphlay")).shown()
    tips = "\n".join(box.tip for box in boxes if box.kind in ("stack", "merge"))
    for node in graph.nodes:
        assert f"{node.path}, " in tips
    assert not any("× " in box.words or "built like" in box.words for box in boxes)


def test_the_drawing_tells_names_shapes_and_costs() -> None:
    space = Space.from_dict(
        {
            "input": {"picture": {"kind": "image", "shape": [3, 8, 8]}},
            "body": {
                "sequence": [
                    {"name": "stem", "layer": "conv", "k": 3, "out": 4, "stride": 2, "norm": "batch"},
                    {"name": "act", "layer": "relu"},
                ]
            },
        }
    )
    drawing = read(draw(space.graph(space.sample(Random(0))), title="<Tiny> & plain", engine="graphlay"))
    source, stem, output = drawing.boxes
    assert source.words == "input picture | 3×8×8"
    assert stem.words == "conv 3×3 stride 2 | batch norm · relu | 4×4×4 · 116 par · 1.73k mac"
    assert stem.tip.splitlines()[0] == "stem, conv 3×3 stride 2, to image 4×4×4, 108 par · 1.73k mac"
    assert output.words == "output features · 4×4×4"
    assert drawing.root.get("role") == "img"
    assert drawing.root.findtext(f"{SVG}title") == "<Tiny> & plain"
    assert drawing.root.findtext(f"{SVG}desc") == (
        "Layers from inputs to outputs: 1 input, 1 conv, 1 batch_norm, 1 relu."
    )


def test_nothing_runs_and_nothing_is_loaded() -> None:
    drawn = draw(graph_of("resnet"), engine="graphlay")
    assert not re.search(r"<script|href|url\(|@import|\son\w+=|\sid=", drawn)
    assert not drawn.startswith("<?")


def test_its_classes_are_its_own() -> None:
    """A page's style for .soft or .card must not reach it, nor its style the page."""
    drawn = draw(graph_of("resnet"), engine="graphlay")
    used = {name for names in re.findall(r'class="([^"]*)"', drawn) for name in names.split()}
    assert all(name.startswith("al-") for name in used - {"archloom-drawing"})
    style = ElementTree.fromstring(drawn).findtext(f"{SVG}style", "")
    for selectors in re.findall(r"^([^@{}\n]+)\{", style, re.MULTILINE):
        assert all(each.startswith(".archloom-drawing ") for each in selectors.split(","))


def test_strange_names_make_well_formed_xml() -> None:
    odd = "a<b>&\"'\x00\x1b[31m\u202e ]]>"
    layers = (
        Layer("input", (), (), odd, "vector", (3,)),
        Layer(odd, ((odd, odd),), (0,), odd, "vector", (3,)),
    )
    picture = Picture(layers, ((odd, 0),), ((odd, 1),), 0, 0)
    drawing = read(draw_picture(picture, title=odd, notes=[odd], engine="graphlay"))
    check_page(drawing)


def test_the_same_network_gives_the_same_bytes_in_every_process() -> None:
    code = (
        "from random import Random; from archloom.space import load_preset\n"
        "from archloom.drawing import draw\n"
        "s = load_preset('detector'); print(draw(s.graph(s.sample(Random(3))), engine='graphlay'))"
    )
    drawn = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(drawn) == 1
    ElementTree.fromstring(drawn.pop())


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_text_stands_out_from_its_ground(theme: Theme) -> None:
    grounds = [theme.paper, *theme.clusters, *theme.heads, *theme.fills.values()]
    for ground in grounds:
        for ink in (theme.ink, theme.soft):
            assert contrast(ink, ground) >= 4.5, (ink, ground)
    for ground in theme.fills.values():
        assert contrast(theme.changed, ground) >= 4.5, ground
    assert contrast(theme.on_badge, theme.badge) >= 4.5
    for status in (theme.added, theme.removed, theme.changed):
        assert contrast(theme.paper, status) >= 4.5, "the sign in its square"
        assert min(contrast(status, ground) for ground in (theme.paper, *theme.clusters)) >= 3
    for mark in (theme.edge, *theme.bars.values()):
        assert contrast(mark, theme.paper) >= 3


def test_every_operation_has_a_family_of_its_own() -> None:
    known = {name: family(name) for name in BUILT_IN}
    assert set(known.values()) <= set(FAMILIES)
    assert known["conv"] == known["conv_transpose"] == "conv"
    assert known["batch_norm"] == "norm"
    assert known["concat"] == known["weighted_sum"] == "merge"
    assert known["relu"] == known["dropout"] == "pointwise"
    assert known["global_pool"] == known["to_image"] == "pool"
    assert known["linear"] == "linear"
    assert known["attention"] == "attention"
    assert {name for name, kind in known.items() if kind == "other"} == {"identity", "zero", "scale", "shift"}


def test_texts_are_measured_and_shortened() -> None:
    assert text_width("conv", 10) == pytest.approx(21.12)
    assert text_width("conv", 10, True) > text_width("conv", 10)
    assert text_width("音", 10) == 10
    assert shorten("conv", 10, 30) == "conv"
    short = shorten("a" * 100, 10, 50)
    assert short.endswith("…")
    assert 40 < text_width(short, 10) <= 50


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (1234, "1.23k"),
        (999_999, "1000k"),
        (25_793_044, "25.8M"),
        (3e12, "3T"),
    ],
)
def test_numbers_are_short(number: int, text: str) -> None:
    assert counted(number) == text


def test_what_is_too_large_is_refused() -> None:
    layers = [Layer("input", (), (), "x", "vector", (4,))]
    layers += [Layer("relu", (), (place,), f"l{place}", "vector", (4,)) for place in range(MOST_LAYERS)]
    picture = Picture(tuple(layers), (("x", 0),), (("y", MOST_LAYERS),), 0, 0)
    with pytest.raises(DrawingUnavailable, match="has 3,001 layers: at most 3,000 are drawn"):
        draw_picture(picture, title="large", engine="graphlay")


def _drawn(data: dict[str, object]) -> str:
    space = Space.from_dict(data)
    return draw(space.graph(space.sample(Random(0))), engine="graphlay")


def test_what_others_are_like_is_titled_and_scans_and_hidden_widths_are_told() -> None:
    conv = {"layer": "conv", "k": 3, "out": "=c", "norm": "batch", "activation": "relu"}
    block = {"repeat": {"count": 1, "body": {"sequence": [conv, {"layer": "conv", "k": 1, "out": "=c"}] * 2}}}
    image = {"kind": "image", "shape": [3, 8, 8]}
    parts = [{"name": f"b{c}", "use": {"part": "block", "with": {"c": c}}} for c in (4, 8, 16)]
    space: dict[str, object] = {"input": {"x": image}, "parts": {"block": block}, "body": {"sequence": parts}}
    shown = _drawn(space)
    assert "built like b4[0]<" in shown
    assert ">b4[0]</text>" in shown

    mlp = {"sequence": [{"layer": "linear", "out": 512}, {"layer": "gelu"}, {"layer": "linear", "out": 64}]}
    space = {"input": {"x": {"kind": "seq", "shape": [64, 20]}}, "body": {"name": "ff", **mlp}}
    assert ">linear 512</text>" in _drawn(space)

    step = [{"as": "xh", "layer": "concat", "from": ["x", "h"]}, {"as": "h", "layer": "linear", "out": 4}]
    scan = {"name": "cell", "scan": {"state": {"h": 4}, "body": {"sequence": step}}}
    assert "cell: scan over 20 steps" in _drawn({"input": space["input"], "body": scan})
