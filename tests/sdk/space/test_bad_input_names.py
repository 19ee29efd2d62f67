# ruff: noqa: E501 - one case a line
"""Names that do not exist where they are read: variables, tensors, parts, outputs; and how many tensors a node takes."""

from __future__ import annotations

import pytest
from archloom.space import SpaceError, load_yaml
from archloom.space.reading.spaces import read_space

INPUT = "input: {x: {kind: image, shape: [3, 8, 8]}}"


def refused(text: str) -> dict[str, str]:
    """path -> message of a space that is refused."""
    with pytest.raises(SpaceError) as caught:
        read_space(load_yaml(text if "input:" in text else f"{INPUT}\n{text}"))
    return {violation.field: violation.message for violation in caught.value.violations}


def sequence(*nodes: str, **top: str) -> str:
    return "\n".join(
        [*(f"{key}: {value}" for key, value in top.items()), f"body: {{sequence: [{', '.join(nodes)}]}}"]
    )


A = "{layer: relu, as: a}"


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        # variables
        ("body: {layer: conv, k: =kk, let: {k: 3}}", "body.k", "no variable 'kk' here (did you mean 'k'?)"),
        ("body: {layer: conv, k: =i}", "body.k", "i exists inside a repeat"),
        ("body: {layer: conv, k: 3, stride: =stride}", "body.stride", "stride exists in the ops of a cell"),
        ("body: {layer: relu}\nlet: {a: =b, b: 3}", "let.a", "'b' stands further down"),
        ("body: {layer: relu}\nlet: {a: =a}", "let.a", "'a' stands further down"),
        ("body: {layer: relu}\nlet: {a: =cin}", "let.a", "cin exists inside the body"),
        ("body: {layer: relu, when: depht > 3}\nlet: {depth: 3}", "body.when", "did you mean 'depth'"),
        ("body: {repeat: {count: =n, body: {layer: relu}}}", "body.repeat.count", "no variable 'n' here"),
        ("body: {repeat: {count: 3, body: {layer: relu}, links: {merge: =how}}}", "body.repeat.links.merge", "expected sum, concat, mul or a choice of them, found an expression"),
        ("body: {scan: {state: {h: =w}, body: {layer: relu}}}", "body.scan.state.h", "no variable 'w'"),
        ("body: {cell: {nodes: 1, edges: dense, ops: {a: {layer: conv, k: 1, stride: =shrink}}}}", "body.cell.ops.a.stride", "shrink exists in the pre of a cell"),
        ("body: {cell: {nodes: 1, edges: dense, pre: {layer: conv, k: 1, stride: =stride}, ops: {a: {layer: relu}}}}", "body.cell.pre.stride", "stride exists in the ops of a cell"),
        ("body: {cell: {nodes: 1, edges: dense, input_stride: =s, ops: {a: {layer: relu}}}}", "body.cell.input_stride", "no variable 's'"),
        ("body: {layer: relu, let: {g: {divisors: w, among: [1]}}}", "body.let.g", "no variable 'w' here"),
        ("body: {layer: relu}\nrecipe: {lr: =rate}\nlet: {rates: 3}", "recipe.lr", "did you mean 'rates'"),
        ("body: {layer: relu, let: {w: 3}}\nrecipe: {lr: =w}", "recipe.lr", "no variable 'w'"),
        # constraints
        ("body: {layer: relu}\nconstraints: [parms < 3]", "constraints[0]", "did you mean 'params'"),
        ("body: {layer: relu}\nconstraints: [parameters < 3]", "constraints[0]", "did you mean 'params'"),
        ("body: {layer: relu, let: {w: 3}}\nconstraints: [depth < 3, w < 3]", "constraints[1]", "no variable 'w'"),
        ("body: {layer: relu}\nlet: {depth: 3}\nconstraints: [depth < 3]", "constraints[0]", "rename the variable"),
        # parts
        ("body: {use: blok}\nparts: {block: {layer: relu}}", "body.use", "no part 'blok' (did you mean 'block'?)"),
        ("body: {use: block}", "body.use", "the space has no parts"),
        ("body: {use: {prt: block}}\nparts: {block: {layer: relu}}", "body.use.prt", "did you mean 'part'"),
        ("body: {use: {part: block, args: {c: 3}}}\nparts: {block: {layer: conv, k: =c}}", "body.use.args", "did you mean 'with'"),
        ("body: {use: block}\nparts: {block: {layer: conv, k: =c}}", "body.use", "part 'block' reads 'c' (parts.block.k): give it by with: {c: ...}"),
        ("body: {use: {part: block, with: {cc: 3}}}\nparts: {block: {layer: conv, k: =c}}", "body.use.with.cc", "reads no 'cc' (did you mean 'c'?)"),
        ("body: {layer: relu, let: {c: 3}}\nparts: {b: {use: a}, a: {layer: conv, k: =c}}", "parts.b.use", "part 'a' reads 'c'"),
        ("body: {sequence: [{use: b}], let: {c: 3}}\nparts: {b: {layer: conv, k: =c}}", "body.sequence[0].use", "part 'b' reads 'c'"),
        ("body: {repeat: {count: 2, body: {use: b}}}\nparts: {b: {layer: conv, k: =1+2*i}}", "body.repeat.body.use", "give it by with: {n: =i}"),
        ("body: {cell: {nodes: 1, edges: dense, ops: {a: {use: b}}}}\nparts: {b: {layer: max_pool, k: 3, stride: =stride}}", "body.cell.ops.a.use", "give it by with: {stride: ...}"),
        ("body: {use: a}\nparts: {a: {use: b}, b: {residual: {use: a}}}", "parts.b.residual.use", "part 'a' uses itself: a > b > a"),
        ("body: {layer: relu}\nparts: {a: {use: a}}", "parts.a.use", "uses itself: a > a"),
        ("body: {layer: relu}\nparts: {'my part': {layer: relu}}", "parts.my part", "expected a name"),
        ("body: {layer: relu}\nparts: {recipe: {layer: relu}}", "parts.recipe", "a meaning of its own"),
        # tensors
        (sequence("{layer: relu, as: p3}", "{layer: relu, from: p33}"), "body.sequence[1].from", "no tensor is called 'p33' here (did you mean 'p3'?)"),
        (sequence("{layer: relu, from: late}", "{layer: relu, as: late}"), "body.sequence[0].from", "no tensor is called 'late' here"),
        (sequence("{layer: relu, as: x}"), "body.sequence[0].as", "'x' is given twice: also at input.x"),
        (sequence(A, A), "body.sequence[1].as", "'a' is given twice: also at body.sequence[0].as"),
        (sequence("{layer: relu, as: a, when: 'true'}", "{layer: relu, from: a}"), "body.sequence[1].from", "may not exist here: it is named under the when of body.sequence[0]"),
        (sequence(f"{{sequence: [{A}], when: 'true'}}", "{layer: relu, from: a}"), "body.sequence[1].from", "named under the when of body.sequence[0]"),
        (sequence(f"{{choice: {{o: {A}, p: {{layer: relu}}}}}}", "{layer: relu, from: a}"), "body.sequence[1].from", "only some options of the choice at body.sequence[0]"),
        (sequence(f"{{repeat: {{count: {{int: [0, 2]}}, body: {A}}}}}", "{layer: relu, from: a}"), "body.sequence[1].from", "whose count may be 0"),
        (sequence(f"{{repeat: {{count: 2, body: {{sequence: [{{layer: relu, from: a}}, {A}]}}}}}}"), "body.sequence[0].repeat.body.sequence[0].from", "no tensor is called 'a'"),
        (sequence(f"{{cell: {{nodes: 1, edges: dense, ops: {{o: {A}}}}}}}", "{layer: relu, from: a}"), "body.sequence[1].from", "named inside the cell at body.sequence[0]"),
        (sequence("{map: {over: [x, y], body: {layer: relu}}}"), "body.sequence[0].map.over[1]", "no tensor is called 'y'"),
        (sequence("{map: {over: x, body: {layer: relu}}, as: h}", "{layer: relu, from: h}"), "body.sequence[1].from", "no tensor is called 'h' here (known: h_x, x)"),
        (sequence("{use: b}", parts="{b: {layer: sum, from: [x, m]}}"), "parts.b.from[1]", "no tensor is called 'm' here (known: x) (used at body.sequence[0])"),
        (sequence("{scan: {state: {h: 3}, body: {layer: sum, from: [x, memory]}}}", input="{x: {kind: seq, shape: [3, 8]}, memory: {kind: seq, shape: [3, 8]}}"), "body.sequence[0].scan.body.from[1]", "inside a scan only x and the states can be read"),
        (sequence("{scan: {state: {h: 3}, body: {layer: relu, as: y}}}", "{layer: relu, from: y}"), "body.sequence[1].from", "no tensor is called 'y'"),
        ("body: {layer: relu, from: []}", "body.from", "expected at least one tensor's name"),
        ("body: {layer: relu, from: {x: 1}}", "body.from", "expected a tensor's name or a list of names"),
        ("body: {layer: relu, as: [a, b]}", "body.as", "expected a name"),
        # outputs
        ("body: {layer: relu, as: logits}\noutput: [logit]", "output[0]", "no tensor is called 'logit' here (did you mean 'logits'?)"),
        ("body: {layer: relu}\noutput: [feature]", "output[0]", "did you mean 'features'"),
        ("body: {layer: relu}\noutput: feature", "output[0]", "did you mean 'features'"),
        ("body: {layer: relu}\noutput: [features, features]", "output[1]", "occurs twice"),
        (sequence("{layer: relu, as: p3, when: 'true'}", output="[p3]"), "output[0]", "may not exist here"),
        # how many tensors a node takes
        ("body: {layer: relu, from: [x, x]}", "body.from", "relu takes one tensor, here are 2; join them with layer: sum, concat or mul"),
        ("body: {layer: separable, k: 3, from: [x, x]}", "body.from", "separable takes one tensor"),
        ("body: {layer: sum}", "body", "sum takes two tensors or more, here is one; name them by from: [a, b]"),
        ("body: {layer: {choice: [sum, relu]}, from: [x, x]}", "body.from", "relu takes one tensor"),
        ("body: {layer: cross_attention, heads: 1, from: [x, x, x]}", "body", "cross_attention takes 2 tensors, here are 3"),
        ("body: {residual: {layer: relu}, from: [x, x]}", "body.from", "a residual takes one tensor"),
        ("body: {choice: {o: {layer: relu}}, from: [x, x]}", "body.choice.o.from", "relu takes one tensor"),
        ("body: {cell: {nodes: 1, edges: dense, ops: {a: {layer: relu}}}, from: [x, x]}", "body.from", "write inputs: 2"),
        ("body: {map: {over: x, body: {layer: relu}}, from: x}", "body.from", "reads the tensors that over names"),
    ],
)  # fmt: skip
def test_a_name_that_does_not_exist_is_refused(text: str, path: str, message: str) -> None:
    found = refused(text)
    assert message in found.get(path, ""), found


@pytest.mark.parametrize(
    "text",
    [
        sequence(A, "{layer: sum, from: [a, x]}", output="[a, features]"),
        sequence("{choice: {o: {layer: relu, as: a}, p: {layer: tanh, as: a}}}", "{layer: relu, from: a}"),
        sequence("{repeat: {count: {int: [1, 2]}, body: {layer: relu, as: a}}}", "{layer: relu, from: a}"),
        sequence("{sequence: [{layer: relu, as: a}, {layer: sum, from: [a, x]}], when: 'true'}"),
        sequence("{parallel: [{layer: relu, as: a}, {layer: tanh, from: a}]}", "{layer: relu, from: a}"),
        sequence(A, "{map: {over: [x, a], body: {layer: relu}}, as: h}", "{layer: sum, from: [h_x, h_a]}"),
        sequence(A, "{map: {over: [x, a], body: {layer: relu}}}", "{layer: sum, from: [a, x]}"),
        sequence(A, "{use: b}", "{use: b}", parts="{b: {sequence: [{layer: relu, as: c}, {layer: sum, from: [a, c]}]}}"),
        sequence("{use: b}", "{layer: relu, from: c}", parts="{b: {layer: relu, as: c}}"),
        sequence("{scan: {state: {h: 3}, body: {layer: sum, from: [x, h]}}, as: h}", "{layer: relu, from: h}"),
        sequence("{scan: {state: {h: 3, c: 3}, body: {sequence: [{layer: sum, from: [x, c], as: c}, {layer: mul, from: [c, h], as: h}]}}}"),
        sequence("{cell: {inputs: 2, nodes: 1, edges: dense, ops: {a: {layer: relu}}}, from: [x, x]}"),
        sequence("{sequence: [{cell: {inputs: 2, nodes: 1, edges: dense, ops: {a: {layer: relu}}}}], from: [x, x]}"),
        sequence("{layer: relu, as: features}", output="[features]"),
        "body: {use: {part: b, with: {c: =w, n: {choice: [1, 3]}}}}\nlet: {w: 3}\nparts: {b: {layer: conv, k: =n, out: =c*w*cin}}",
        "body: {repeat: {count: 2, body: {use: {part: b, with: {n: =i}}}}}\nparts: {b: {layer: conv, k: =1+2*n}}",
        "body: {layer: relu}\nparts: {unused: {layer: conv, k: =whatever}}",
        "body: {layer: relu}\nlet: {w: 3}\nconstraints: [params < 3 or flops < 3 and not depth > w]",
    ],
)  # fmt: skip
def test_names_that_exist_are_read(text: str) -> None:
    read_space(load_yaml(text if "input:" in text else f"{INPUT}\n{text}"))


def test_a_fault_in_a_part_is_told_once_however_often_it_is_used() -> None:
    text = sequence(*["{use: b}"] * 5, parts="{b: {layer: sum, from: [x, m]}}")
    with pytest.raises(SpaceError) as caught:
        read_space(load_yaml(f"{INPUT}\n{text}"))
    assert len(caught.value.violations) == 1
