"""Frames of experiments that evaluators work for, kept by uid."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from archloom_controller.engine.frame import Frame
from archloom_controller.store import Store

_KEPT = 256


class Frames:
    """What an evaluation depends on does not change with the spec's revisions, so a frame is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._frames: OrderedDict[str, Frame] = OrderedDict()

    async def get(self, uid: str) -> Frame | None:
        """None when the experiment is gone."""
        frame = self._frames.get(uid)
        if frame is None:
            experiment = await self._store.experiments.by_uid(uid)
            if experiment is None:
                return None
            frame = Frame.of(experiment)
            await asyncio.to_thread(_compile, frame)
            self._frames[uid] = frame
            if len(self._frames) > _KEPT:
                self._frames.popitem(last=False)
        return frame


def _compile(frame: Frame) -> None:
    """The space is compiled when first asked for: not on the event loop."""
    frame.evaluation  # noqa: B018
