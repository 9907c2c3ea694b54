"""Completion queues: calls handed to the library, and their answers taken back, many at once."""

from __future__ import annotations

import ctypes
import logging
from typing import TYPE_CHECKING, Any, Protocol

from skyline import _logging, _plane
from skyline._errors import PayloadError
from skyline._payload import unpack

if TYPE_CHECKING:
    from collections.abc import Iterable

# As many as the library gathers before it wakes anybody. What is more is taken the next time.
_CAPACITY = 1024
_BYTES = _plane.COMPLETION_BYTES


logger = _logging.logger
root = logging.getLogger()


class Waiting(Protocol):
    """Who waits for the answer of a call: a future, or something like one."""

    def done(self) -> bool:
        """Whether it does not wait any more."""

    def set_result(self, result: Any, /) -> None:
        """Takes the answer: ``None``, MessagePack, or `Unpacked`."""

    def set_exception(self, exception: Exception, /) -> None:
        """Takes the failure."""


class Unpacked:
    """An answer so large that it was unpacked where it lay, without copying it first."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        """Holds it."""
        self.value = value


class CompletionQueue:
    """A queue of the library's, and who waits for what comes out of it. For one thread."""

    def __init__(self) -> None:
        """Makes one."""
        self.native = _plane.Queue()
        """The library's own."""
        self.last_id = 0
        """The last id, an even one: an odd one says that the answer is wanted as bytes."""
        self._completions = (ctypes.c_char * (_CAPACITY * _BYTES))()
        self._completions_address = ctypes.addressof(self._completions)
        self._memory = memoryview(self._completions)
        self.pending: dict[int, Waiting] = {}
        """Who waits for which call."""

    def next_id(self) -> int:
        """An id for a call."""
        self.last_id = id = self.last_id + 2
        return id

    def submit(self, client: _plane.Client, records: bytes) -> int:
        """Hands calls over; gives the kind of failure for which none was taken, or 0."""
        if (logger.level or root.level) != _logging.level_in_force:
            _logging.follow_level()
        kind: int = _plane.submit_many(client.pointer, self.native.pointer, records, len(records))
        return kind

    def submit_large(
        self,
        client: _plane.Client,
        id: int,
        method: bytes,
        payload: bytes,
        deadline: int,
        flags: int,
    ) -> int:
        """Hands over a call without copying its payload into a batch; as `submit`."""
        _logging.follow_level()
        name, length = len(method), len(payload)
        kind: int = _plane.submit(
            *(client.pointer, self.native.pointer, id, method, name, payload, length),
            *(deadline, flags),
        )
        return kind

    def refuse(self, kind: int, ids: Iterable[int]) -> None:
        """Tells those who wait for the calls that the library did not take them."""
        for id in ids:
            waiting = self.pending.pop(id, None)
            if waiting is not None and not waiting.done():
                waiting.set_exception(_plane.refused(kind))

    def cancel(self, id: int) -> None:
        """Ends a call that nobody waits for any more, unless it is over."""
        if self.pending.pop(id, None) is not None:
            self.native.cancel(id)

    def drain(self) -> int:
        """Hands out what has come, and gives how much that was."""
        count: int = _plane.queue_drain(self.native.pointer, self._completions_address, _CAPACITY)
        pop, bytes_at, large = self.pending.pop, _plane.bytes_at, _plane.LARGE
        memory = self._memory if count == _CAPACITY else self._memory[: count * _BYTES]
        completions = iter(_plane.completions(memory))
        interrupt: BaseException | None = None
        id, waiting = 0, None
        while True:
            try:
                for id, error, payload, length in completions:
                    waiting = pop(id, None)
                    if waiting is None or waiting.done():
                        # It was cancelled meanwhile.
                        continue
                    if error:
                        waiting.set_exception(_plane.failure_at(error))
                    elif not payload:
                        waiting.set_result(None)
                    elif length < large or id & 1:
                        waiting.set_result(bytes_at(payload, length))
                    else:
                        _unpack_for(waiting, payload, length)
                    waiting = None
                break
            except BaseException as cause:  # noqa: BLE001 - an interrupt is raised at the end
                # For want of memory, or an interrupt: that is this call's alone. The others have
                # left the library, and nobody else would tell them.
                _break(pop(id, waiting), cause)
                if not isinstance(cause, Exception):
                    interrupt = cause
        if interrupt is not None:
            raise interrupt
        return count

    @property
    def wait_handle(self) -> int:
        """What an event loop watches."""
        handle: int = _plane.queue_wait_handle(self.native.pointer)
        return handle


def _break(waiting: Waiting | None, cause: BaseException) -> None:
    """Fails a call whose answer could not be handed out."""
    if waiting is not None and not waiting.done():
        lost = InterruptedError("an interrupt came while the answer was handed out")
        waiting.set_exception(cause if isinstance(cause, Exception) else lost)


def _unpack_for(waiting: Waiting, address: int, length: int) -> None:
    try:
        value = unpack(_plane.memory_at(address, length))
    except PayloadError as error:
        waiting.set_exception(error)
    else:
        waiting.set_result(Unpacked(value))


def unpacked(answer: bytes | Unpacked | None) -> Any:
    """The payload of an answer."""
    if type(answer) is bytes:
        return unpack(answer)
    return answer.value if isinstance(answer, Unpacked) else None
