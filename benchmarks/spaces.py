"""How quick spaces are: samples, mutations, networks and their hashes, encodings, large trees, and batches
over gRPC.

    python benchmarks/spaces.py [--runs 3] [--hashes 10000] [--only presets|hashes|encodings|trees|grpc]
    [--json]

Times are of the processor, in milliseconds, so that other work on the machine disturbs them less; those over
gRPC are of the clock. Each is the median of the runs, with the least and the greatest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import grpc
from archloom.space import Space, SpaceError, load_preset, preset_names
from archloom.v1 import space_service_pb2, space_service_pb2_grpc
from archloom_controller.rpc.rules import Rules
from archloom_controller.services.spaces import SpaceServicer

EACH = 300
BATCH = 1_000
Figure = tuple[str, float]


def timed(work: Callable[[], Any], count: int = 1) -> float:
    """Milliseconds of the processor that one of ``count`` pieces of work takes."""
    started = time.process_time()
    work()
    return 1_000 * (time.process_time() - started) / count


def presets(_: argparse.Namespace) -> Iterator[Figure]:
    """Of each preset; what a space learns at its first draw is paid before."""
    for name in preset_names():
        space, rng = load_preset(name), Random(0)
        space.sample(rng)
        some = [space.sample(rng) for _ in range(EACH)]
        yield (
            f"{name}: one sample",
            timed(lambda space=space: [space.sample(Random(n)) for n in range(EACH)], EACH),
        )
        yield (
            f"{name}: one mutation",
            timed(lambda space=space, some=some: [space.mutate(each, Random(0)) for each in some], EACH),
        )
        graphs = []
        yield (
            f"{name}: one network",
            timed(lambda space=space, some=some, out=graphs: out.extend(map(space.graph, some)), EACH),
        )
        yield f"{name}: its hash", timed(lambda graphs=graphs: [graph.hash for graph in graphs], EACH)


def hashes(options: argparse.Namespace) -> Iterator[Figure]:
    """Network and hash of so many architectures of darts, most of them different."""
    space, rng = load_preset("darts"), Random(1)
    count = options.hashes
    some = [space.sample(rng) for _ in range(count)]
    yield (
        f"darts: networks and hashes of {count}",
        timed(lambda: [space.graph(each).hash for each in some]),
    )
    few = some[:100]
    yield "darts: layers of a network, on average", sum(len(space.graph(one).nodes) for one in few) / len(few)


def encodings(_: argparse.Namespace) -> Iterator[Figure]:
    for name, kind in (("mobile", "vector"), ("nasbench201", "vector"), ("nasbench201", "graph")):
        space, rng = load_preset(name), Random(2)
        some = [space.sample(rng) for _ in range(BATCH)]
        space.encode_many(some[:2], kind)
        many = timed(lambda space=space, some=some, kind=kind: space.encode_many(some, kind))
        one = timed(lambda space=space, some=some, kind=kind: [space.encode(each, kind) for each in some])
        yield f"{name}: {BATCH} {kind} encodings at once", many
        yield f"{name}: {BATCH} {kind} encodings one by one", one


def wide_tree(nodes: int) -> dict[str, Any]:
    layers = [{"name": f"l{n}", "layer": "conv", "k": {"choice": [1, 3]}} for n in range(nodes)]
    return {"input": {"x": {"kind": "image", "shape": [4, 8, 8]}}, "body": {"sequence": layers}}


def deep_tree(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"layer": "relu"}
    for _ in range(depth):
        node = {"residual": node}
    return {"input": {"x": {"kind": "vector", "shape": [4]}}, "body": node}


def trees(_: argparse.Namespace) -> Iterator[Figure]:
    data = wide_tree(10_000)
    yield "10,000 nodes: read", timed(lambda: Space.from_dict(data))
    space = Space.from_dict(data)
    architecture = space.sample(Random(0))
    yield "10,000 nodes: one sample", timed(lambda: space.sample(Random(1)))
    yield "10,000 nodes: one mutation", timed(lambda: space.mutate(architecture, Random(1)))
    yield "10,000 nodes: network and hash", timed(lambda: space.graph(architecture).hash)
    million = wide_tree(1_000_000)
    yield "refusal of depth 1,000", timed(lambda: refused(deep_tree(1_000)))
    yield "refusal of 1,000,000 nodes", timed(lambda: refused(million))
    power = {**deep_tree(1), "let": {"a": "=" + "**".join(["9"] * 20)}}
    yield "refusal of an expression that would explode", timed(lambda: refused(power))


def refused(data: dict[str, Any]) -> None:
    try:
        Space.from_dict(data)
    except SpaceError:
        return
    raise SystemExit("a space that should be refused was read")


def over_grpc(_: argparse.Namespace) -> Iterator[Figure]:
    yield from asyncio.run(batches())


async def batches() -> list[Figure]:
    """Batches by a server in this process, and the longest time for which its event loop stood still."""

    async def no_experiment(_: Any) -> None:
        return None

    server = grpc.aio.server()
    space_service_pb2_grpc.add_SpaceServiceServicer_to_server(SpaceServicer(no_experiment, Rules()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    figures: list[Figure] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = space_service_pb2_grpc.SpaceServiceStub(channel)
        for name in ("nasbench201", "mobile", "darts"):
            source = space_service_pb2.SpaceReference(preset=name)
            ask = space_service_pb2.SampleArchitecturesRequest(source=source, count=BATCH, seed=1)
            await stub.SampleArchitectures(ask)
            took, stood, answer = await watched(stub.SampleArchitectures(ask))
            figures += [
                (f"{name}: {BATCH} samples over gRPC", took),
                (f"{name}: longest pause meanwhile", stood),
            ]
            change = space_service_pb2.MutateArchitecturesRequest(
                source=source, parents=answer.architectures, seed=1
            )
            took, stood, _ = await watched(stub.MutateArchitectures(change))
            figures += [
                (f"{name}: {BATCH} mutations over gRPC", took),
                (f"{name}: longest pause of these", stood),
            ]
    await server.stop(None)
    return figures


async def watched(call: Any) -> tuple[float, float, Any]:
    """Milliseconds that a call takes, the longest pause of the event loop, and the answer."""
    pauses = [0.0]

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            pauses.append(1_000 * (time.perf_counter() - before) - 1)

    watcher = asyncio.ensure_future(watch())
    started = time.perf_counter()
    answer = await call
    took = 1_000 * (time.perf_counter() - started)
    watcher.cancel()
    return took, max(pauses), answer


SECTIONS: dict[str, Callable[[argparse.Namespace], Iterator[Figure]]] = {
    "presets": presets,
    "hashes": hashes,
    "encodings": encodings,
    "trees": trees,
    "grpc": over_grpc,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--hashes", type=int, default=10_000)
    parser.add_argument("--only", choices=sorted(SECTIONS))
    parser.add_argument("--json", action="store_true", help="print one JSON object a figure")
    options = parser.parse_args()
    for name, section in SECTIONS.items():
        if options.only not in (None, name):
            continue
        runs = [dict(section(options)) for _ in range(options.runs)]
        for what in runs[0]:
            values = sorted(run[what] for run in runs)
            middle = statistics.median(values)
            if options.json:
                print(
                    json.dumps({"what": what, "median": middle, "least": values[0], "greatest": values[-1]})
                )
            else:
                print(f"{what:<52} {middle:10.3f} ({values[0]:.3f} to {values[-1]:.3f})", flush=True)


if __name__ == "__main__":
    main()
