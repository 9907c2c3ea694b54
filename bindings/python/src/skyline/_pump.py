"""Answers for event loops that cannot watch a handle: the proactor loop of Windows.

A thread waits for them in the loop's place, which costs a switch of threads for each wake. Our CI
has no Windows: there, only the tests with a loop that refuses to watch run this.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from skyline import _plane, _process

if TYPE_CHECKING:
    from skyline._calls import LoopQueue

# How long the thread, and the queue with it, goes on after the event loop was closed.
_PATIENCE_MS = 1000


def start(queue: LoopQueue) -> None:
    """Has `queue` emptied by its event loop whenever something has come, until that is closed."""
    threading.Thread(target=_run, args=(queue,), name="skyline-pump", daemon=True).start()


def _run(queue: LoopQueue) -> None:
    loop, pointer = queue.loop, queue.native.pointer
    taken = threading.Event()

    def take() -> None:
        try:
            queue.take()
        finally:
            taken.set()

    while not loop.is_closed() and _process.refusal() is None:
        if not _plane.queue_wait(pointer, _PATIENCE_MS):
            continue
        taken.clear()
        try:
            loop.call_soon_threadsafe(take)
        except RuntimeError:
            # It was closed.
            return
        # What has not been taken would not let the next wait wait.
        while not taken.wait(_PATIENCE_MS / 1000):
            if loop.is_closed() or _process.refusal() is not None:
                return
