"""How many cores a step's linear algebra takes."""

from __future__ import annotations

from functools import lru_cache

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@lru_cache(maxsize=1)
def hold_to_one_core() -> None:
    """From now on this process's BLAS computes with one thread. Threads cost more than they bring in matrices
    of this size, and the last bits of an answer may not depend on how many a replica has.

    Once and for good: the number belongs to the process, and setting it back would change it under another
    step that is at work in another thread.
    """
    threadpool_limits(1, user_api="blas")
