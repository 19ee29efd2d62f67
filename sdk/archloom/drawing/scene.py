"""Boxes, clusters and edges with their places: what ``svg`` paints."""

from __future__ import annotations

from collections.abc import Sequence

from archloom.drawing.engines import Engine
from archloom.drawing.folding import Group, fold, home, mentioned
from archloom.drawing.items import (
    BAR,
    CHANGE,
    FOLLOWERS,
    FOOT,
    HEADER,
    INSIDE,
    LEAST_BOX,
    MARK,
    MOST_TEXT,
    PAD,
    ROW,
    SMALL,
    TITLE,
    Draft,
    Item,
    Scene,
    Strip,
    Text,
    Way,
    badge_of,
    moved,
    output_draft,
    port_draft,
    still,
    tooltip,
)
from archloom.drawing.layout import Box, Edge, arrange
from archloom.drawing.metrics import shorten
from archloom.drawing.picture import ADDED, REMOVED, Layer, Picture
from archloom.drawing.stacking import Stack, Stacking
from archloom.drawing.words import costs, family, headline, printable, shape_text


def scene_of(picture: Picture, engine: Engine, unfold: bool = False) -> Scene:
    """A picture laid out, inputs at the top, outputs at the bottom."""
    return _Scenes(picture, engine, unfold).top()


class _Scenes:
    def __init__(self, picture: Picture, engine: Engine, unfold: bool) -> None:
        self.picture = picture
        self.layers = picture.layers
        self.engine = engine
        self.unfold = unfold
        self.entries = fold(picture, unfold)
        self.stacking = Stacking(picture, mentioned(self.entries))

    def top(self) -> Scene:
        drafts = []
        for name, place in self.picture.outputs:
            drafts.append((output_draft(name, self.layers[place]), place))
        scene, _, _ = self.block(self.entries, 0, (), drafts)
        return scene

    def block(
        self,
        entries: Sequence[int | Group],
        start: int,
        ins: Sequence[tuple[int, str]],
        ends: Sequence[tuple[Draft, int]],
    ) -> tuple[Scene, list[float], list[float]]:
        """Entries laid out between ports for the outside tensors ``ins`` and ``ends`` with the layer each
        reads; also the ports' middles, from left.
        """
        elements = self.stacking.elements(entries)
        reads: list[tuple[int, int, str]] = []  # element, tensor, status
        for number, element in enumerate(elements):
            reads += [(number, tensor, status) for tensor, status in self.reads(element)]
        wanted = [tensor for _, tensor, _ in reads] + [tensor for _, tensor in ends]
        drafts = [self.draft(element, wanted) for element in elements]
        owner = {place: number for number, element in enumerate(elements) for place in _places(element)}
        first_port = len(drafts)
        ports = {tensor: first_port + number for number, (tensor, _) in enumerate(ins)}
        drafts += [port_draft(label, True) for _, label in ins]
        first_end = len(drafts)
        drafts += [draft for draft, _ in ends]
        for number, (_, tensor) in enumerate(ends):
            status = self.layers[tensor].status
            reads.append((first_end + number, tensor, status if status in (ADDED, REMOVED) else ""))
        edges = []
        for target, tensor, status in reads:
            source = ports[tensor] if tensor < start else owner[tensor]
            leaves = drafts[source].leaves.get(tensor, 0.0)
            edges.append(Edge(source, target, leaves, drafts[target].arrivals.get(tensor), status))
        placed = arrange([draft.box for draft in drafts], edges, self.engine)
        items = tuple(moved(draft.item, corner) for draft, corner in zip(drafts, placed.corners, strict=True))
        ways = tuple(
            Way(way, edge.status, items[edge.target].kind != "port")
            for way, edge in zip(placed.ways, edges, strict=True)
        )
        middles = [item.x + item.width / 2 for item in items]
        scene = Scene(items, ways, placed.width, placed.height)
        return scene, middles[first_port:first_end], middles[first_end:]

    def reads(self, element: Stack | Group) -> list[tuple[int, str]]:
        """(tensor from outside, status of the edge) in order; of a group each tensor once."""
        if isinstance(element, Stack):
            layer = self.layers[element.rows[0].main]
            return [(tensor, layer.edge(number)) for number, tensor in enumerate(layer.inputs)]
        found: dict[int, set[str]] = {}
        for layer in self.layers[element.start : element.start + element.length]:
            for number, tensor in enumerate(layer.inputs):
                if tensor < element.start:
                    found.setdefault(tensor, set()).add(layer.edge(number))
        return [(tensor, min(found[tensor])) for tensor in sorted(found)]

    def draft(self, element: Stack | Group, wanted: Sequence[int]) -> Draft:
        if isinstance(element, Group):
            keys = [tensor for tensor in sorted(set(wanted)) if element.start <= tensor < element.end]
            if element.like:
                return still(self.mention(element))
            return self.cluster(element, keys)
        layer = self.layers[element.rows[0].main]
        if layer.body is not None:
            return still(self.scan(element, layer, layer.body))
        if family(layer.operation) == "merge" and len(element.layers) == 1 and not layer.status:
            return still(self.merge(element.rows[0].main, layer))
        return still(self.stack(element))

    # ------------------------------------------------------------- boxes

    def stack(self, stack: Stack) -> Item:
        layers = [self.layers[place] for place in stack.layers]
        texts: list[Text] = []
        strips: list[Strip] = []
        y = 5.0
        mark = MARK + 2 if any(layer.status for layer in layers) else 0.0
        left = BAR + PAD + mark
        for row in stack.rows:
            y += 2.0 if strips else 0.0
            main, top = self.layers[row.main], y
            words = self.headline(row.main)
            if row is not stack.rows[-1] and family(main.operation) == "linear" and main.dims:
                words += f" {main.dims[0]}"  # the foot tells the last width alone
            words = shorten(words, TITLE, MOST_TEXT, True)
            texts.append(Text(words, "main", left, y + 13, TITLE, bold=True))
            y += ROW
            if row.followers:
                followers = " · ".join(headline(self.layers[place]) for place in row.followers)
                texts.append(Text(shorten(followers, SMALL, MOST_TEXT), "soft", left, y + 9.5, SMALL))
                y += FOLLOWERS
            for change in main.changes:
                words = shorten(printable(str(change)), SMALL, MOST_TEXT, True)
                texts.append(Text(words, "change", left, y + 10, SMALL, bold=True))
                y += CHANGE
            strips.append(Strip(family(main.operation), top, y - top, main.status))
        foot = " · ".join(text for text in (shape_text(layers[-1]), costs(layers)) if text)
        if foot:
            texts.append(Text(shorten(foot, SMALL, MOST_TEXT), "foot", left, y + 10.5, SMALL))
            y += FOOT
        width = max(LEAST_BOX, max(text.x + text.width for text in texts) + PAD)
        status = layers[0].status if len({layer.status for layer in layers}) == 1 else ""
        tip = "\n".join(tooltip(layer) for layer in layers)
        return Item("stack", 0, 0, width, y + 3, stack.layers, tip, tuple(texts), tuple(strips), status)

    def headline(self, place: int) -> str:
        """Of a layer; inputs have names."""
        names = [name for name, layer in self.picture.inputs if layer == place]
        return headline(self.layers[place]) + "".join(f" {printable(name)}" for name in names)

    def merge(self, place: int, layer: Layer) -> Item:
        words = headline(layer)
        if layer.operation == "concat":
            words += f" · {shape_text(layer)}"
        text = Text(words, "main", 0, 0, SMALL, "middle", True)
        width = max(40.0, text.width + 20, min(150.0, 16 + 10.0 * (len(layer.inputs) - 1)))
        centred = Text(words, "main", width / 2, 14.5, SMALL, "middle", True)
        return Item("merge", 0, 0, width, 21, (place,), tooltip(layer), (centred,))

    def mention(self, group: Group) -> Item:
        layers = self.layers[group.start : group.end]
        last = layers[-1]
        lines = [
            Text(
                shorten(printable(group.path), TITLE, MOST_TEXT, True), "main", PAD + 4, 18, TITLE, bold=True
            ),
            Text(shorten(f"built like {group.like}", SMALL, MOST_TEXT), "soft", PAD + 4, 33, SMALL),
        ]
        foot = " · ".join(text for text in (shape_text(last), self.cost(layers)) if text)
        lines.append(Text(shorten(foot, SMALL, MOST_TEXT), "foot", PAD + 4, 48, SMALL))
        width = max(line.x + line.width for line in lines) + PAD + 4
        if group.count > 1:
            width, badge = badge_of(group.count, lines[0], width)
            lines.append(badge)
        places = tuple(range(group.start, group.end))
        tip = f"{group.path}: {len(layers)} layers, built like {group.like}"
        return Item("mention", 0, 0, width, 57, places, printable(tip), tuple(lines), (), "", group.count)

    def cluster(self, group: Group, keys: Sequence[int]) -> Draft:
        ins = self.reads(group)
        backs = dict(group.earlier)
        told = len(ins) > 1
        labelled = [
            (tensor, f"{backs[tensor]} before" if told and tensor in backs else "") for tensor, _ in ins
        ]
        ends = self.ends(group, keys)
        drafts = [(port_draft(label, False), home(group, tensor)) for tensor, label in ends]
        inner, arrivals, leaves = self.block(group.entries, group.start, labelled, drafts)
        layers = self.layers[group.start : group.end]
        shared = len({layer.group for layer in layers if layer.group}) and group.count > 1
        note = self.cost(layers) + (" in all" if group.count > 1 else "")
        note += " · shared weights" if shared else ""
        title = Text(
            shorten(printable(group.path), SMALL + 1, MOST_TEXT, True),
            "title",
            PAD,
            16,
            SMALL + 1,
            bold=True,
        )
        end = title.x + title.width
        head = [title]
        if note:
            head.append(Text(note, "foot", end + 10, 16, SMALL))
            end += 10 + head[-1].width
        width = max(inner.width + 2 * INSIDE, end + PAD)
        if group.count > 1:
            width, badge = badge_of(group.count, Text("", "", end, 16, SMALL), width)
            head.append(badge)
        at = ((width - inner.width) / 2, HEADER + 8)
        item = Item(
            *("cluster", 0, 0, width, at[1] + inner.height + 8, tuple(range(group.start, group.end))),
            self.cluster_tip(group),
            tuple(head),
            count=group.count,
            inner=inner,
            inner_at=at,
        )
        middle = width / 2
        return Draft(
            item,
            Box(item.width, item.height),
            {tensor: at[0] + x - middle for (tensor, _), x in zip(ins, arrivals, strict=True)},
            {tensor: at[0] + x - middle for (tensor, _), x in zip(ends, leaves, strict=True)},
        )

    def ends(self, group: Group, keys: Sequence[int]) -> list[tuple[int, str]]:
        """What leaves a group: tensors that are read after it, and what only the next repetition reads."""
        found = []
        for tensor in keys:
            back = group.count - 1 - (tensor - group.start) // group.length
            found.append((tensor, f"{back} before the last" if back else ""))
        covered = {home(group, tensor) for tensor in keys}
        second = group.start + group.length
        for place in range(group.start, second):
            later = any(reader >= second for reader in self.stacking.readers[place])
            if later and group.count > 1 and place not in covered:
                found.append((place + group.length * (group.count - 1), "to the next"))
        return found

    def scan(self, stack: Stack, layer: Layer, body: Picture) -> Item:
        inner = _Scenes(body, self.engine, self.unfold).top()
        read = self.layers[layer.inputs[0]] if layer.inputs else layer
        steps = f"{read.dims[-1]} steps" if read.kind in ("seq", "tokens") and read.dims else "time"
        name = f"{layer.path}: " if layer.path else ""
        words = shorten(printable(f"{name}{headline(layer)} over {steps}"), SMALL + 1, MOST_TEXT, True)
        title = Text(words, "title", PAD, 16, SMALL + 1, bold=True)
        note = " · ".join(text for text in (shape_text(layer), costs([layer])) if text)
        foot = Text(note, "foot", title.x + title.width + 10, 16, SMALL)
        width = max(inner.width + 2 * INSIDE, foot.x + foot.width + PAD)
        at = ((width - inner.width) / 2, HEADER + 8)
        return Item(
            *("cluster", 0, 0, width, at[1] + inner.height + 8, stack.layers, tooltip(layer), (title, foot)),
            status=layer.status,
            inner=inner,
            inner_at=at,
        )

    def cost(self, layers: Sequence[Layer]) -> str:
        """Costs of layers, shared weights once."""
        shared = {layer.group: layer for layer in layers if layer.group}
        weights = sum(
            layer.weights or 0 for layer in (*shared.values(), *(one for one in layers if not one.group))
        )
        return costs([Layer("", weights=weights, flops=sum(layer.flops or 0 for layer in layers))])

    def cluster_tip(self, group: Group) -> str:
        times = f", {group.count} times" if group.count > 1 else ""
        return printable(f"{group.path or 'repeated'}: {group.length} layers{times}")


def _places(element: Stack | Group) -> Sequence[int]:
    return element.layers if isinstance(element, Stack) else range(element.start, element.end)
