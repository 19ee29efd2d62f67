"""What the controller and the Celery workers agree on: a message says only that a queue has work."""

from __future__ import annotations

#: Task that a wake-up runs. Its argument is the JSON object ``{"device_class": ..., "hint": trial name}``.
TASK = "archloom.wake"


def queue_of(device_class: str) -> str:
    """The Celery queue of a device class."""
    return f"archloom.{device_class}"
