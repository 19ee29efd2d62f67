"""The worker's log: one readable line an event, on standard error."""

from __future__ import annotations

import logging
import sys

FOREIGN_LIMIT = 400


class OneLine(logging.Formatter):
    """Celery's reports of messages it refuses run over many lines, and quote the message whole."""

    def format(self, record: logging.LogRecord) -> str:
        if not record.name.startswith(("celery", "kombu")):
            return super().format(record)
        message = " ".join(record.getMessage().split())[:FOREIGN_LIMIT]
        short = logging.LogRecord(
            record.name, record.levelno, record.pathname, record.lineno, message, None, None
        )
        return super().format(short)


def log_to_stderr() -> None:
    """Sets up the process's log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
