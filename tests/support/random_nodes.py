"""Random nodes for random spaces: every kind of the grammar, put together so that most of them fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from random_layers import Data, layer

_MERGES: Sequence[Any] = ("sum", "concat", "mul", {"choice": ["sum", "mul"]}, {"choice": ["sum", "concat"]})


@dataclass(frozen=True)
class Scope:
    """What a node may read: small whole numbers, tensors and parts by name; ``fixed`` where nothing that is
    named here may be missing in some architecture.
    """

    kind: str
    variables: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    fixed: bool = False


class NodeMaker:
    """Random nodes that keep the kind of their input. ``leaves`` is how many layers are left to be made."""

    def __init__(self, rng: Random, leaves: int) -> None:
        self.rng = rng
        self.leaves = leaves
        self.names = 0

    def name(self, letter: str) -> str:
        self.names += 1
        return f"{letter}{self.names}"

    def node(self, scope: Scope, depth: int = 3) -> Data:
        """A node; sometimes with variables of its own, and a condition on them."""
        rng = self.rng
        if depth == 0 or self.leaves <= 1 or rng.random() < 0.3:
            self.leaves -= 1
            return layer(rng, scope.kind, scope.variables)
        data = rng.choice(self.makers(scope))(replace(scope, fixed=False), depth - 1)
        data.setdefault("name", self.name("n"))
        if rng.random() < 0.15 and "let" not in data:
            variable = self.name("v")
            data["let"] = {variable: {"choice": [0, 1]}}
            data["when"] = f"{variable} == 1"
        return data

    def makers(self, scope: Scope) -> list[Callable[[Scope, int], Data]]:
        found: list[Callable[[Scope, int], Data]]
        found = [self.sequence, self.choice, self.parallel, self.residual, self.repeat, self.cell, self.cells]
        found += [self.linked, self.scoped]
        found += [self.use] * 2 if scope.parts else []
        found += [self.join] * 2 if scope.tensors else []
        return found

    def nodes(self, scope: Scope, depth: int, most: int = 3) -> list[Data]:
        return [self.node(scope, depth) for _ in range(self.rng.randint(1, most))]

    def options(self, scope: Scope, depth: int) -> Data:
        """Options have no names: theirs are the choice's."""
        found = zip("abc", self.nodes(scope, depth), strict=False)
        return {key: {k: v for k, v in node.items() if k != "name"} for key, node in found}

    def sequence(self, scope: Scope, depth: int) -> Data:
        return {"sequence": self.nodes(scope, depth)}

    def choice(self, scope: Scope, depth: int) -> Data:
        return {"choice": self.options(scope, depth)}

    def parallel(self, scope: Scope, depth: int) -> Data:
        return {
            "parallel": self.nodes(scope, depth),
            "merge": self.rng.choice(_MERGES),
            "adapt": "project",
        }

    def residual(self, scope: Scope, depth: int) -> Data:
        return {"residual": self.node(scope, depth), "adapt": self.rng.choice(["project", "skip"])}

    def count(self, scope: Scope) -> Any:
        options: list[Any] = [0, 1, 2, {"int": [0, 2]}, {"choice": [1, 3]}]
        return self.rng.choice([*options, *(f"={name}" for name in scope.variables)])

    def repeat(self, scope: Scope, depth: int) -> Data:
        free = self.rng.random() < 0.5
        inner: Data = {"count": self.count(scope), "body": self.node(scope, depth)}
        if free:
            inner["decisions"] = "free"
        if self.rng.random() < 0.3:
            inner["weights"] = "shared"
        return {"repeat": inner}

    def linked(self, scope: Scope, depth: int) -> Data:
        """A repeat whose repetitions read earlier ones."""
        links: Data = {
            "subset": "earlier",
            "merge": self.rng.choice(["sum", "concat", {"choice": ["sum", "mul"]}]),
        }
        if self.rng.random() < 0.5:
            links["most"] = 1
        inner = {
            "count": self.rng.choice([2, 3, {"int": [1, 3]}]),
            "body": self.node(scope, depth),
            "links": links,
        }
        if self.rng.random() < 0.5:
            inner["decisions"] = "free"
        return {"repeat": inner, "adapt": "project"}

    def inside_of_cell(self, scope: Scope, depth: int) -> Data:
        edges = [{"k": 1}, {"k": 2}, {"k": 1, "distinct": False}, "dense"]
        cell: Data = {
            "nodes": self.rng.randint(1, 2),
            "edges": self.rng.choice(edges),
            "ops": self.options(scope, depth),
            "output": self.rng.choice(["last", "sum", "concat", {"choice": ["sum", "concat"]}]),
        }
        if self.rng.random() < 0.3:
            cell["join"] = self.rng.choice(["mul", {"choice": ["sum", "mul"]}])
        return cell

    def cell(self, scope: Scope, depth: int) -> Data:
        return {"cell": self.inside_of_cell(scope, depth), "adapt": "project"}

    def cells(self, scope: Scope, depth: int) -> Data:
        """Cells that read the two tensors before them; for images, some halve what they read."""
        cell = {**self.inside_of_cell(scope, depth), "inputs": 2}
        if scope.kind == "vector":
            cell["pre"] = {"layer": "linear", "out": 4}
        else:
            cell["pre"] = {"layer": "conv", "k": 1, "out": 4, "stride": "=shrink"}
            cell["ops"]["pool"] = {"layer": "max_pool", "k": 3, "stride": "=stride"}
            cell["input_stride"] = self.rng.choice([1, 2, {"choice": [1, 2]}])
        body = {"name": "cell", "cell": cell, "adapt": "project"}
        again = {
            "name": self.name("r"),
            "repeat": {"count": self.rng.choice([1, 2, {"int": [1, 2]}]), "body": body},
        }
        return {"carry": 2, "sequence": [self.node(scope, 0), again]}

    def scoped(self, scope: Scope, depth: int) -> Data:
        """Variables of its own, one decided and one computed from it."""
        one, other = self.name("v"), self.name("v")
        inner = replace(scope, variables=(*scope.variables, one, other))
        return {
            "let": {one: {"choice": [1, 2]}, other: f"=min(2, {one} + 1)"},
            "sequence": self.nodes(inner, depth, most=2),
        }

    def use(self, scope: Scope, depth: int) -> Data:
        """A part, with its argument c."""
        fields: Data = {
            "part": self.rng.choice(scope.parts),
            "with": {
                "c": self.rng.choice([1, 2, {"choice": [1, 2]}, *(f"={name}" for name in scope.variables)])
            },
        }
        if self.rng.random() < 0.5:
            fields["decisions"] = self.rng.choice(["tied", "free"])
        if self.rng.random() < 0.4:
            fields["weights"] = self.rng.choice(["separate", "shared"])
        return {"use": fields}

    def part(self, scope: Scope) -> Data:
        """The node of a part with the argument c."""
        dense: Data = {"layer": "linear"} if scope.kind == "vector" else {"layer": "conv", "k": 1}
        return {"sequence": [self.node(scope, 2), {"name": self.name("n"), **dense, "out": "=2*c"}]}

    def join(self, scope: Scope, depth: int) -> Data:
        """What came before, with a named tensor."""
        named = {"layer": "identity", "from": self.rng.choice(scope.tensors)}
        here = self.node(scope, 0)
        return {
            "parallel": [here, named],
            "merge": self.rng.choice(_MERGES),
            "adapt": "project",
        }

    def map(self, scope: Scope, name: str, over: list[str]) -> Data:
        """A body over named tensors of this kind; the results are named after both."""
        shared = self.rng.random() < 0.3
        body = self.node(replace(scope, fixed=False, tensors=()), 1)
        return {
            "name": name,
            "as": name,
            "map": {"over": over, "body": body, "weights": "shared" if shared else "separate"},
        }
