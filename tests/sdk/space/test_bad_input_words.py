# ruff: noqa: E501 - one case a line
"""Mistakes as newcomers make them: words of other libraries, wrong kinds, and what YAML makes of a text."""

from __future__ import annotations

import pytest
from archloom.space import Space, SpaceError, dump_yaml, load_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

INPUT = "input: {x: {kind: image, shape: [3, 8, 8]}}"


def refused(text: str) -> dict[str, str]:
    """path -> message of a space that is refused."""
    with pytest.raises(SpaceError) as caught:
        Space.from_yaml(text if "input" in text else f"{INPUT}\n{text}")
    return {violation.field: violation.message for violation in caught.value.violations}


def node(text: str) -> dict[str, str]:
    return refused(f"body: {text}")


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        # operations and their parameters
        ("{layer: Conv, k: 3}", "body.layer", "there is no operation 'Conv' (did you mean 'conv'?)"),
        ("{layer: conv2d, k: 3}", "body.layer", "did you mean 'conv'"),
        ("{layer: dense, out: 3}", "body.layer", "did you mean 'linear'"),
        ("{layer: swish}", "body.layer", "did you mean 'silu'"),
        ("{layer: {choice: [conv, rellu]}, k: 3}", "body.layer", "there is no operation 'rellu' (did you mean 'relu'?)"),
        ("{layer: [conv, relu], k: 3}", "body.layer", "expected an operation's name or {choice: [names]}, found a list of 2"),
        ("{layer: {int: [1, 2]}}", "body.layer", "found another domain"),
        ("{layer: conv, kernel_size: 3}", "body.kernel_size", "'kernel_size' is no parameter of 'conv' (did you mean 'k'?)"),
        ("{layer: conv, k: 3, filters: 8}", "body.filters", "did you mean 'out'"),
        ("{layer: conv, k: 3, strides: 2}", "body.strides", "did you mean 'stride'"),
        ("{layer: dropout, rate: 0.5}", "body.rate", "did you mean 'p'"),
        ("{layer: relu, inplace: true}", "body.inplace", "'inplace' is no parameter of 'relu'; it takes none"),
        ("{layer: conv, k: [3, 5]}", "body.k", "found a list of 2; a decision among them is written {choice: [...]}"),
        ("{layer: conv, k: '3'}", "body.k", "expected a whole number, found '3'; write it without quotes"),
        ("{layer: conv, k: three}", "body.k", "expected a whole number, found 'three'"),
        ("{layer: conv, k: }", "body.k", "expected a value, found nothing"),
        ("{layer: conv, k: 3, out: 2*cin}", "body.out", "an expression begins with '=': \"=2*cin\""),
        ("{layer: conv, k: 3, bias: yes}", "body.bias", "expected true or false, found 'yes'; write true or false"),
        ("{layer: conv, k: 3, bias: 'true'}", "body.bias", "write true or false, without quotes"),
        ("{layer: conv, k: 3, norm: false}", "body.norm", "expected a text, found false (did you mean 'none'?)"),
        ("{layer: conv, k: 3, norm: batchnorm}", "body.norm", "did you mean 'batch'"),
        ("{layer: conv, k: 3, activation: Relu}", "body.activation", "did you mean 'relu'"),
        ("{layer: conv, k: 3, stride: {choice: [0, 1]}}", "body.stride", "0 is less than 1"),
        ("{layer: dropout, p: {float: [0, 2]}}", "body.p", "2.0 is more than"),
        # domains
        ("{layer: conv, k: {choices: [3, 5]}}", "body.k", "did you mean 'choice'"),
        ("{layer: conv, k: {range: [3, 5]}}", "body.k", "did you mean 'int'"),
        ("{layer: dropout, p: {uniform: [0, 1]}}", "body.p", "did you mean 'float'"),
        ("{layer: dropout, p: {loguniform: [0.1, 0.5]}}", "body.p", "did you mean 'log'"),
        ("{layer: conv, k: {choice: [3], int: [1, 2]}}", "body.k", "expected one domain of"),
        ("{layer: conv, k: {choice: 3}}", "body.k.choice", "expected a list of 1 to 10000 values, found 3"),
        ("{layer: conv, k: {choice: [3, '=cin']}}", "body.k.choice[1]", "a domain holds constants"),
        ("{layer: conv, k: {int: 3}}", "body.k.int", "expected [low, high] or [low, high, step], found 3"),
        ("{layer: conv, k: {int: [1.5, 3]}}", "body.k.int[0]", "expected a whole number, found 1.5"),
        ("{layer: conv, k: {int: [1, 9, 0]}}", "body.k.int[2]", "expected a whole number above 0, found 0"),
        ("{layer: conv, k: {int: ['1', 3]}}", "body.k.int[0]", "found '1'"),
        ("{layer: dropout, p: {float: [0.5, 0.1]}}", "body.p.float", "has no value: 0.5 is more than 0.1"),
        ("{layer: dropout, p: {float: [0.5, 0.5]}}", "body.p.float", "has the one value 0.5"),
        ("{layer: conv, k: 3, bias: {bool: [true]}}", "body.bias.bool", "expected [false, true]"),
        ("{layer: relu, let: {s: {subset: [1, 2]}}}", "body.let.s.subset", "expected a map with of, min, max"),
        ("{layer: relu, let: {s: {subset: {of: [1, 2], min: 3}}}}", "body.let.s.subset.min", "from 0 to 2, found 3"),
        ("{layer: relu, let: {g: {divisors: d}}}", "body.let.g.among", "is missing"),
        ("{layer: relu, let: {g: {divisors: cin, among: [0, 1.5, 2, 2]}}}", "body.let.g.among[1]", "expected a whole number above 0, found 1.5"),
        ("{layer: relu, let: {g: {divisors: cin, amnog: [1]}}}", "body.let.g.amnog", "did you mean 'among'"),
        ("{layer: relu, let: {g: {divisors: =2*, among: [1]}}}", "body.let.g.divisors", "found the end, expected a value"),
        # expressions
        ("{layer: conv, k: 3, out: =max(8, cin)}", "body.cin)", "an expression with a comma inside { } or [ ] needs quotes"),
        ("{layer: conv, k: 3, out: =round(cin)}", "body.out", "there is no function 'round' (known: ceil"),
        ("{layer: conv, k: 3, out: =cin^2}", "body.out", "a power is **"),
        ("{layer: conv, k: 3, out: =2cin}", "body.out", "found 'cin' at 1, expected an operator or the end"),
        ("{layer: conv, k: 3, when: cin = 3}", "body.when", "equality is =="),
        ("{layer: conv, k: 3, when: 'cin > 3 && true'}", "body.when", "write and"),
        ("{layer: conv, k: 3, when: true}", "body.when", "put it in quotes: \"true\""),
        ("{layer: conv, k: 3, out: =cin / 2}", "body", "expected a whole number, found 1.5"),
        ("{layer: conv, k: 3, out: =}", "body.out", "found the end, expected a value"),
        # nodes
        ("[{layer: relu}]", "body", "found a list of 1; {sequence: [...]} puts nodes one after the other"),
        ("relu", "body", "expected a node (a map), found 'relu'; a layer is written {layer: relu, ...}"),
        ("{}", "body", "a node without a kind; kinds: layer, sequence"),
        ("{op: conv}", "body", "did you mean 'layer'"),
        ("{seq: [{layer: relu}]}", "body", "did you mean 'sequence'"),
        ("{branches: [{layer: relu}]}", "body", "did you mean 'parallel'"),
        ("{sequence: {layer: relu}}", "body.sequence", "expected a list of nodes, found a map of layer"),
        ("{sequence: [{layer: relu}, ]}", "", ""),
        ("{choice: [{layer: relu}, {layer: tanh}]}", "body.choice", "expected a map of options, name: node, found a list"),
        ("{choice: {a: {layer: relu}, b: }}", "body.choice.b", "expected a node (a map), found nothing"),
        ("{repeat: [{layer: relu}]}", "body.repeat", "expected a map with count, body"),
        ("{repeat: {times: 3, body: {layer: relu}}}", "body.repeat.times", "did you mean 'count'"),
        ("{repeat: {count: [1, 3], body: {layer: relu}}}", "body.repeat.count", "a decision among them is written {choice: [...]}"),
        ("{repeat: {count: {float: [1, 3]}, body: {layer: relu}}}", "body.repeat.count", "expected a whole number from 0 to 1000, found 1.0"),
        ("{repeat: {count: 2, body: {layer: relu}, links: {subset: all}}}", "body.repeat.links.subset", "expected earlier, found 'all'"),
        ("{repeat: {count: 2, body: {layer: relu}, links: {max: 2}}}", "body.repeat.links.max", "did you mean 'most'"),
        ("{repeat: {count: 2, body: {layer: relu}}, adapt: project}", "body.adapt", "a repeat without links joins nothing"),
        ("{residual: [{layer: relu}]}", "body.residual", "{sequence: [...]} puts nodes one after the other"),
        ("{residual: {layer: relu}, adapt: pad}", "body.adapt", "expected error, project, skip, found 'pad'"),
        ("{parallel: [{layer: relu}], merge: add}", "body.merge", "expected sum, concat, mul or a choice of them, found 'add' (did you mean 'sum'?)"),
        ("{parallel: [{layer: relu}], merge: cat}", "body.merge", "did you mean 'concat'"),
        ("{cell: {nodes: {int: [1, 4]}, edges: dense, ops: {a: {layer: relu}}}}", "body.cell.nodes", "it cannot be a decision"),
        ("{cell: {nodes: 2, edges: dence, ops: {a: {layer: relu}}}}", "body.cell.edges", "did you mean 'dense'"),
        ("{cell: {nodes: 2, edges: dense, join: =how, ops: {a: {layer: relu}}}}", "body.cell.join", "found an expression"),
        ("{layer: =width}", "body.layer", "found an expression"),
        ("{cell: {nodes: 2, edges: sparse, ops: {a: {layer: relu}}}}", "body.cell.edges", "expected dense or {k: ..., distinct: ...}"),
        ("{cell: {nodes: 2, edges: {k: 2, distinct: yes}, ops: {a: {layer: relu}}}}", "body.cell.edges.distinct", "expected true or false, found 'yes'"),
        ("{cell: {nodes: 2, edges: dense, operations: {a: {layer: relu}}}}", "body.cell.operations", "did you mean 'ops'"),
        ("{cell: {nodes: 2, edges: dense, inputs: 17, ops: {a: {layer: relu}}}}", "body.cell.inputs", "from 1 to 16"),
        ("{cell: {nodes: 2, edges: dense, input_stride: 0, ops: {a: {layer: relu}}}}", "body.cell.input_stride", "from 1 to 1000, found 0"),
        ("{scan: {state: [h], body: {layer: relu}}}", "body.scan.state", "expected a map, name: value, found a list of 1"),
        ("{scan: {state: {}, body: {layer: relu}}}", "body.scan.state", "a scan needs at least one state"),
        ("{scan: {states: {h: 3}, body: {layer: relu}}}", "body.scan.states", "did you mean 'state'"),
        ("{scan: {state: {x: 3}, body: {layer: relu}}}", "body.scan.state.x", "x is the input of each step"),
        ("{scan: {state: {y: 3}, body: {layer: relu}}}", "body.scan.state.y", "y is the output of each step"),
        ("{map: {over: x}}", "body.map.body", "is missing"),
        ("{map: {over: [], body: {layer: relu}}}", "body.map.over", "expected at least one tensor's name"),
        ("{sequence: [{layer: relu}], carry: two}", "body.carry", "from 1 to 16, found 'two'"),
        ("{use: {part: p, decisions: fre}}", "body.use.decisions", "expected tied, free, found 'fre' (did you mean 'free'?)"),
        ("{layer: conv, k: 3, name: my conv}", "body.name", "letters, digits, underscores"),
        ("{layer: conv,k:3}", "body.k:3", "write a space after the colon"),
    ],
)  # fmt: skip
def test_what_a_newcomer_writes_in_a_node(text: str, path: str, message: str) -> None:
    if not message:  # a comma at the end is none
        Space.from_yaml(f"{INPUT}\nbody: {text}")
        return
    found = node(text)
    assert message in found.get(path, ""), found


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("inputs: {x: {kind: image, shape: [3, 8, 8]}}", "inputs", "did you mean 'input'"),
        ("input: {kind: image, shape: [3, 8, 8]}", "input", "expected inputs by name, such as x: {kind"),
        ("input: [{kind: image, shape: [3, 8, 8]}]", "input", "expected a map of inputs"),
        ("input: {}", "input", "expected 1 to 32 inputs"),
        ("input: {x: [3, 8, 8]}", "input.x", "expected a map with kind, shape"),
        ("input: {x: {kind: picture, shape: [3, 8, 8]}}", "input.x.kind", "did you mean 'image'"),
        ("input: {x: {kind: image, shape: [3, 8]}}", "input.x.shape", "image has 3 dimensions [channels, height, width], here are 2"),
        ("input: {x: {kind: image, shape: [3, 8, {choice: [8]}]}}", "input.x.shape[2]", "a searched size has its domain in let"),
        ("input: {x: {kind: image, shape: [3, 8, r]}}\nlet: {r: 3}", "input.x.shape[2]", "the value of a variable is written \"=r\""),
        ("input: {x: {kind: image, shape: [3, 8, =r]}}\nlet: {r: 2.5}", "input.x.shape", "no shape"),
        (f"{INPUT}\noutputs: [features]", "outputs", "did you mean 'output'"),
        (f"{INPUT}\nconstraints: params < 3", "constraints", "expected a list"),
        (f"{INPUT}\nconstraints: [params < 1M]", "constraints[0]", "found 'M' at 10"),
        (f"{INPUT}\nparts: [block]", "parts", "expected a map, found a list of 1"),
        (f"{INPUT}\nparts: {{block: 3}}", "parts.block", "expected a node"),
        (f"{INPUT}\nrecipe: {{lr: {{log: [0, 1]}}}}", "recipe.lr.log[0]", "a logarithmic range begins above 0"),
        (f"{INPUT}\nname: [a]", "name", "expected a text"),
    ],
)  # fmt: skip
def test_what_a_newcomer_writes_at_the_top(text: str, path: str, message: str) -> None:
    found = refused(f"{text}\nbody: {{layer: relu}}")
    assert message in found.get(path, ""), found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("body:\n\tlayer: relu", "line 2, column 1: .*indent with spaces: YAML allows no tabs"),
        ("body: {layer: relu, layer: tanh}", "line 1: 'layer' occurs twice"),
        ("body: {layer: relu", "a bracket is not closed"),
        ("body: {out: =x[0]}", "a bracket is not closed, or a text needs quotes"),
        ("body: 'relu", "a quote is not closed"),
        ("body: layer: relu", "a text with ': ' in it needs quotes"),
        ("body:\n  layer: relu\n name: a", "check in which columns lines begin"),
        ("when: 'a' == b", "a text that begins with a quote stands in quotes to its end"),
        ("when: !flag", "the tag !flag is not obeyed; a text that begins with ! needs quotes"),
        ("body: *block", "a text that begins with \\* needs quotes"),
        ("out: @cin", "a text that begins with @ needs quotes"),
        ("out: %cin", "a text that begins with % needs quotes"),
        ("[a]: b", "a key is a list or a map"),
        ("a: 1\n---\nb: 2", "expected one document"),
        ("a: {<<: 3}", "<< merges a map"),
        ("a: !!binary aGk=", "the tag !!binary is not obeyed"),
    ],
)
def test_pitfalls_of_yaml_come_with_advice(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        load_yaml(text)


def test_constants_are_those_of_yaml_1_2() -> None:
    text = "[yes, no, on, off, y, n, =, =cin, 1:30, 2026-13-01, 0o7, +, ., 1e-4, 1E5, .5, 5., 08, 1_000, 0x1f, ~, null, true, False, -.inf]"
    assert load_yaml(text) == [
        "yes", "no", "on", "off", "y", "n", "=", "=cin", "1:30", "2026-13-01", "0o7", "+", ".", 1e-4, 1e5, 0.5, 5.0, 8, 1000, 31, None, None, True, False, float("-inf"),
    ]  # fmt: skip
    assert load_yaml("") is None
    assert load_yaml("a: !!str 3\nb: ! 3") == {"a": "3", "b": 3}
    assert load_yaml("a: |\n  x\n  y\nb: >\n  x\n  y\n") == {"a": "x\ny\n", "b": "x y\n"}


def test_options_may_be_called_yes_and_no() -> None:
    space = Space.from_yaml(
        f"{INPUT}\nbody: {{name: se, choice: {{yes: {{layer: relu}}, no: {{layer: identity}}}}}}"
    )
    assert space.decisions()[0].domain.at(0) == "yes"
    assert Space.from_yaml(space.to_yaml()) == space


def test_maps_are_merged() -> None:
    text = "base: &b {k: 3, out: 8}\none: {<<: *b, k: 5}\ntwo: {k: 1, <<: [*b, {k: 2, z: 1}]}\n'<<': 3"
    assert load_yaml(text) == {
        "base": {"k": 3, "out": 8},
        "one": {"k": 5, "out": 8},
        "two": {"k": 1, "out": 8, "z": 1},
        "<<": 3,
    }


_PLAIN = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(max_size=6),
        st.sampled_from(["1e-4", "08", "0E0", "yes", "null", "~", "<<", "=", "1_0", "0x1", ".5", "1:30", "- a", "a: b"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip


@given(_PLAIN)
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_read_back(value: object) -> None:
    again = load_yaml(dump_yaml(value))
    assert again == value
    assert repr(again) == repr(value)  # tells 1, 1.0 and True apart
