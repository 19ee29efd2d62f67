"""Parts that share weights, inside of scans and outside."""

from __future__ import annotations

import pytest
from archloom.space import Space, SpaceError

PART = "{use: {part: p, weights: shared}}"
SCAN = f"scan: {{state: {{h: 4}}, body: {{sequence: [{{layer: sum, from: [x, h]}}, {PART}, {PART}]}}}}"
PARTS = f"{{p: {{layer: linear, out: 4}}, q: {{{SCAN}}}}}"
HEAD = f"input: {{x: {{kind: seq, shape: [4, 6]}}}}\nparts: {PARTS}\nbody: "
WHOLE = "use: {part: q, weights: shared}"


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (
            f"{{sequence: [{PART}, {{{SCAN}}}]}}",
            "body.sequence[1].scan.body.sequence[1].use.weights",
            "shared in a scan and outside of it, here and at body.sequence[0]",
        ),
        (
            f"{{sequence: [{{{SCAN}}}, {PART}]}}",
            "body.sequence[1].use.weights",
            "shared in a scan and outside of it, here and at body.sequence[0].scan.body.sequence[1]",
        ),
        (
            f"{{sequence: [{{{SCAN}}}, {{{SCAN}}}]}}",
            "body.sequence[1].scan.body.sequence[1].use.weights",
            "shared by two scans, here and at body.sequence[0].scan.body.sequence[1]",
        ),
        (
            f"{{repeat: {{count: 2, body: {{{SCAN}}}}}}}",
            "body.repeat.body.scan.body.sequence[1].use.weights",
            "shared by the repetitions of a scan in body",
        ),
        (
            "{sequence: [{name: a, use: q}, {name: b, use: q}]}",
            "parts.q.scan.body.sequence[1].use.weights",
            "shared by two scans",
        ),
    ],
)
def test_shared_weights_do_not_cross_the_border_of_a_scan(body: str, path: str, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space.from_yaml(HEAD + body)
    [fault] = caught.value.violations
    assert fault.field == path
    assert f"the weights of part 'p' are {message}" in fault.message
    assert "write weights: separate, or put all these uses into one scan" in fault.message


@pytest.mark.parametrize(
    "body",
    [
        f"{{{SCAN}}}",
        f"{{choice: {{a: {{{SCAN}}}, b: {{{SCAN}}}, c: {PART}}}}}",
        f"{{repeat: {{count: 2, weights: shared, body: {{{SCAN}}}}}}}",
        f"{{repeat: {{count: 1, body: {{{SCAN}}}}}}}",
        f"{{name: a, {WHOLE}}}",
        f"{{sequence: [{{name: a, {WHOLE}}}, {{name: b, {WHOLE}}}]}}",
        f"{{sequence: [{PART}, {PART}]}}",
    ],
)
def test_shared_weights_within_one_scan_are_one_set(body: str) -> None:
    space = Space.from_yaml(HEAD + body)
    assert {space.graph(one).parameters for one in space.enumerate()} == {4 * 4 + 4}
