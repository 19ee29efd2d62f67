"""``python -m archloom_evaluators``: a Celery worker that evaluates trials of one device class."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import warnings

from archloom_evaluators.worker.logs import log_to_stderr
from archloom_evaluators.worker.metrics import CannotServe, clean_folder, prepare_folder, serve


def main(argv: list[str] | None = None) -> int:
    """Runs until SIGTERM; 1 when it cannot start, with a sentence on standard error."""
    parser = argparse.ArgumentParser(
        prog="archloom_evaluators",
        description="A worker that evaluates trials. Its settings are variables that begin with ARCHLOOM_.",
    )
    parser.add_argument("--concurrency", type=int, default=1, help="processes that evaluate side by side (1)")
    parser.add_argument(
        "--queues", default="", help="Celery queues, by commas (that of ARCHLOOM_DEVICE_CLASS)"
    )
    options = parser.parse_args(argv)
    if options.concurrency < 1:
        parser.error("--concurrency must be at least 1")
    log_to_stderr()

    from archloom.client.connection import trusted_certificates
    from archloom.errors import InvalidInput
    from pydantic import ValidationError

    from archloom_evaluators.settings import worker_settings
    from archloom_evaluators.validation import explain

    try:
        settings = worker_settings()
        trusted_certificates()
    except ValidationError as error:
        print(f"archloom worker: {explain('ARCHLOOM', error)}", file=sys.stderr)
        return 1
    except InvalidInput as error:
        print(f"archloom worker: {error}", file=sys.stderr)
        return 1
    problem = unreachable(settings.server, settings.broker_url)
    if problem:
        print(f"archloom worker: {problem}", file=sys.stderr)
        return 1
    try:
        return run(options.concurrency, [queue for queue in options.queues.split(",") if queue])
    except CannotServe as error:
        print(f"archloom worker: {error}", file=sys.stderr)
        return 1


def unreachable(server: str, broker_url: str) -> str:
    """What to do about a controller or a broker that does not answer; empty when both do."""
    from kombu.connection import Connection

    problems = [_problem(address) for address in _addresses(server)]
    if all(problems):
        return (
            f"no controller answers at {server} ({problems[0]}); start it, or set ARCHLOOM_SERVER to its"
            " HOST:PORT"
        )
    try:
        with Connection(broker_url, connect_timeout=5.0) as connection:  # type: ignore[no-untyped-call]
            connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=6.0)
    except Exception as error:
        place = _without_password(broker_url)
        return f"no broker answers at {place} ({error}); start it, or set ARCHLOOM_BROKER_URL"
    return ""


def _addresses(server: str) -> list[str]:
    """Several controllers stand as gRPC writes them: ``ipv4:HOST:PORT,HOST:PORT``."""
    return server.rpartition("://")[2].removeprefix("ipv4:").removeprefix("ipv6:").split(",")


def _problem(address: str) -> str:
    """Why nothing answers at HOST:PORT; empty when something does."""
    host, _, port = address.rpartition(":")
    try:
        # A bare connection: gRPC must not be started before the pool forks.
        socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), timeout=5.0).close()
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def run(concurrency: int, queues: list[str]) -> int:
    """Runs the Celery worker in this process."""
    prepare_folder()

    from archloom.wakeup import queue_of

    from archloom_evaluators.app import build_app
    from archloom_evaluators.settings import worker_settings

    settings = worker_settings()
    # Celery warns that a superuser's worker could unpickle anything; this one takes JSON alone.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser")
    # Read by torch and its libraries when a pool process imports them.
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    worker = build_app(settings).Worker(
        pool="prefork",
        concurrency=concurrency,
        queues=queues or [queue_of(settings.device_class)],
        hostname=f"{settings.device_class}-{os.getpid()}@{socket.gethostname()}",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        loglevel="INFO",
        optimization="fair",
    )
    server = serve(settings.metrics_listen) if settings.metrics_listen else None
    try:
        worker.start()
    finally:
        if server is not None:
            server.close()
        clean_folder()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
