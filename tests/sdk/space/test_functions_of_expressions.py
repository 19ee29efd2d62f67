"""The functions of expressions."""

from __future__ import annotations

import pytest
from archloom.space.language.expressions import ExpressionError, parse


@pytest.mark.parametrize(("text", "value"), [
    ("ceil(2.01)", 3),
    ("ceil(3)", 3),
    ("ceil(3 * 1.2 ** phi)", 5),
    ("floor(2.99)", 2),
    ("floor(-0.5)", -1),
    ("floor(224 * 1.15 ** phi + 0.5)", 296),
    ("round8(224 * 1.15)", 256),
    ("round8(3)", 8),
    ("round8(12)", 16),
    ("min(3, phi, 5)", 2),
    ("max(3, phi)", 3),
])  # fmt: skip
def test_a_function_yields(text: str, value: int) -> None:
    found = parse(text).evaluate({"phi": 2})
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize(("text", "message"), [
    ("ceil()", "found '\\)' at 5"),
    ("floor(1, 2)", "floor takes 1 to 1 arguments, here are 2"),
    ("ceil('a')", "expected a number, found 'a'"),
    ("round(2)", "there is no function 'round'"),
    ("ceil(2 ** 60)", "larger than 2\\*\\*53"),
])  # fmt: skip
def test_a_function_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        parse(text).evaluate({})
