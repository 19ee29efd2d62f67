"""The body of a block's ``forward``, written as a person would: variables are used again once their value is
not needed any more, equal calls in a row are a loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archloom_evaluators.port.folding import Kind, Piece
from archloom_evaluators.port.layout import WIDTH, Bracket, Text, call, lay_out

_OPERATORS = {"sum": " + ", "mul": " * "}
_MOST_TERMS = 8
_NAMES = ("y", "z", "u", "v", "w", "a", "b", "c", "d", "e", "f", "g")


@dataclass(frozen=True)
class Step:
    """One call: of a module (``attribute``), or of a merge. ``reads`` and ``makes`` are ids of tensors."""

    attribute: str
    merge: str
    reads: tuple[int, ...]
    makes: int


def write_forward(
    steps: Sequence[Step],
    inputs: Mapping[int, str],
    outputs: Mapping[str, int],
    indent: int,
    returns: str = "dict",
) -> list[str]:
    """The statements. ``inputs`` are tensor -> name; one output is returned alone, several as name -> tensor
    or as a tuple.
    """
    return _Writer(steps, inputs, outputs, indent, returns).lines()


def steps_of(piece: Piece, names: Mapping[object, str], operations: Mapping[int, str]) -> list[Step]:
    """``operations`` says which merge a tensor comes from."""
    return [
        Step(
            attribute=names.get(part.instance, "") if part.kind is not Kind.MERGE else "",
            merge=operations[part.output] if part.kind is Kind.MERGE else "",
            reads=part.reads,
            makes=part.output,
        )
        for part in piece.pieces
    ]


class _Writer:
    def __init__(
        self,
        steps: Sequence[Step],
        inputs: Mapping[int, str],
        outputs: Mapping[str, int],
        indent: int,
        returns: str,
    ) -> None:
        self.returns = returns
        self.steps = steps
        self.indent = indent
        self.outputs = outputs
        self.variables: dict[int, str] = dict(inputs)
        self.taken = set(inputs.values())
        self.maker = {step.makes: place for place, step in enumerate(steps)}
        self.uses = Counter(read for step in steps for read in step.reads)
        self.uses.update(outputs.values())
        self.inlined = {place for place in range(len(steps)) if self.in_place(place)}
        self.last: dict[int, int] = {}
        for place, step in enumerate(steps):
            for read in step.reads:
                self.use(read, place)
        self.last.update(dict.fromkeys(outputs.values(), len(steps)))
        self.result: list[str] = []

    def use(self, tensor: int, place: int) -> None:
        """Note that a tensor is needed there; what stands in place of it needs its own inputs there."""
        self.last[tensor] = max(self.last.get(tensor, -1), place)
        maker = self.maker.get(tensor)
        if maker is not None and maker in self.inlined:
            for read in self.steps[maker].reads:
                self.use(read, place)

    def in_place(self, place: int) -> bool:
        """Whether a call stands inside the merge that alone reads it."""
        step = self.steps[place]
        if step.merge or self.uses[step.makes] != 1 or step.makes in self.outputs.values():
            return False
        reader = next(p for p, other in enumerate(self.steps) if step.makes in other.reads)
        merge = self.steps[reader]
        width = sum(len(self.call_width(read)) + 3 for read in merge.reads) + self.indent + 20
        return bool(merge.merge) and width <= WIDTH and len(merge.reads) <= _MOST_TERMS

    def call_width(self, tensor: int) -> str:
        maker = self.maker.get(tensor)
        return f"self.{self.steps[maker].attribute}(xxxxx)" if maker is not None else "xxxxx"

    def lines(self) -> list[str]:
        place = 0
        while place < len(self.steps):
            count = self.run(place)
            if place in self.inlined:
                place += 1
                continue
            step = self.steps[place]
            ends = place == len(self.steps) - 1 and list(self.outputs.values()) == [step.makes]
            if ends and count == 1 and not self.too_long(step):
                self.statement("return ", self.expression(step))
                return self.result
            if count > 1:
                variable = self.variables.pop(step.reads[0])
                self.variables[self.steps[place + count - 1].makes] = variable
                margin = " " * self.indent
                self.result.append(f"{margin}for _ in range({count}):")
                self.result.append(f"{margin}    {variable} = self.{step.attribute}({variable})")
            else:
                self.assign(step, place)
            place += count
        self.finish()
        return self.result

    def finish(self) -> None:
        names = [self.variables[tensor] for tensor in self.outputs.values()]
        if len(names) == 1:
            self.statement("return ", names[0])
        elif self.returns == "tuple":
            self.statement("return ", ", ".join(names))
        else:
            items = [f'"{name}": {variable}' for name, variable in zip(self.outputs, names, strict=True)]
            self.statement("return ", Bracket("{", tuple(items), "}"))

    def run(self, place: int) -> int:
        """How many calls of one module follow each other, each on the last one's result, from a variable that
        is free then.
        """
        step = self.steps[place]
        if step.merge or len(step.reads) != 1 or place in self.inlined or self.last[step.reads[0]] > place:
            return 1
        count = 1
        while place + count < len(self.steps):
            before, after = self.steps[place + count - 1], self.steps[place + count]
            alike = after.attribute == step.attribute and after.reads == (before.makes,)
            if not alike or self.uses[before.makes] != 1 or place + count in self.inlined:
                break
            count += 1
        return count

    def too_long(self, step: Step) -> bool:
        """Whether a sum or product does not fit on a line."""
        return step.merge in _OPERATORS and len(str(self.expression(step))) + self.indent + 16 > WIDTH

    def assign(self, step: Step, place: int) -> None:
        if self.too_long(step):
            self.pile_up(step, place)
            return
        expression = self.expression(step)
        free = self.release(step.reads, place)
        variable = free[0] if free else self.fresh()
        self.taken.add(variable)
        self.variables[step.makes] = variable
        self.statement(f"{variable} = ", expression)

    def pile_up(self, step: Step, place: int) -> None:
        """A long sum as several statements."""
        variable, operator = self.fresh(), _OPERATORS[step.merge]
        terms = [str(self.operand(read)) for read in step.reads]
        while terms:
            line = terms.pop(0)
            while terms and len(line) + len(terms[0]) + self.indent + 2 * len(variable) + 12 <= WIDTH:
                line += operator + terms.pop(0)
            self.statement(f"{variable} = ", line)
            if terms:
                terms.insert(0, variable)
        self.release(step.reads, place)
        self.taken.add(variable)
        self.variables[step.makes] = variable

    def release(self, reads: Sequence[int], place: int) -> list[str]:
        """Variables whose values are not needed after this step; those of calls in place too."""
        free: list[str] = []
        for read in reads:
            maker = self.maker.get(read)
            if maker is not None and maker in self.inlined:
                free += self.release(self.steps[maker].reads, place)
            elif self.last[read] <= place and read in self.variables:
                free.append(self.variables.pop(read))
        self.taken.difference_update(free)
        return free

    def fresh(self) -> str:
        """A name that holds no value that is still needed."""
        number = 1
        names = iter(_NAMES)
        while (name := next(names, f"t{number}")) in self.taken:
            number += name == f"t{number}"
        self.taken.add(name)
        return name

    def expression(self, step: Step) -> Text:
        terms = [self.operand(read) for read in step.reads]
        if not step.merge:
            return call(f"self.{step.attribute}", terms)
        if step.merge == "concat":
            return call("torch.cat", [Bracket("(", tuple(terms)), "1"])
        return _OPERATORS[step.merge].join(map(str, terms))

    def operand(self, tensor: int) -> Text:
        maker = self.maker.get(tensor)
        if maker is not None and maker in self.inlined:
            step = self.steps[maker]
            return call(f"self.{step.attribute}", [self.operand(read) for read in step.reads])
        return self.variables[tensor]

    def statement(self, before: str, text: Text) -> None:
        self.result += lay_out(before, text, "", self.indent)
