"""The MongoDB store."""

from archloom_controller.store.layout import Document
from archloom_controller.store.steps import StepChanged, StepLost, StepWrite
from archloom_controller.store.store import Store

__all__ = ["Document", "StepChanged", "StepLost", "StepWrite", "Store"]
