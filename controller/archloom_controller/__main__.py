"""The controller process: ``python -m archloom_controller``. Settings come from ARCHLOOM_* variables."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from archloom_controller.server import Controller
from archloom_controller.settings import Settings, StartupError


async def _serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    controller = Controller(settings)
    await controller.start()
    await stopping.wait()
    logging.getLogger("archloom_controller").info("stopping")
    await controller.stop()


def main() -> int:
    """Exit code 1 and one sentence when it cannot start."""
    logging.basicConfig(
        format="%(asctime)s %(levelname)-7s %(message)s", level=logging.INFO, stream=sys.stderr
    )
    for talkative in ("pymongo", "kombu", "celery", "grpc"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(Settings.load()))
    except StartupError as error:
        print(f"archloom controller: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
