"""The calls of asyncio programs.

Each event loop has one completion queue. The calls that are made while the loop goes through its
callbacks once leave together, in one submit; only a call that finds no other in flight leaves at
once, so that one after the other waits for nothing. What has come is told to the loop once, however
much it is, and taken at once.

Whoever is answered goes on at once, and what those who are answered together call then leaves
together too.

The event loop alone holds its queue, by watching its handle, and the queue holds the loop: they go
together, with the calls that are still in flight then. Clients know a queue by a weak reference.
"""

from __future__ import annotations

import threading
import weakref
from asyncio import CancelledError
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from skyline import _plane, _process
from skyline._queue import CompletionQueue

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Generator, Iterable
    from contextvars import Context

    from skyline._many import Batch


RAW = 1
"""Added to an even id: the answer is wanted as bytes, however large it is."""


class Answer:
    """What a call will be answered with; awaited once, by the task that made the call.

    To asyncio it is a future, of which it asks little. The difference is that whoever waits goes on
    at once when the answer is there, in the callback that takes the answers, while a future would
    have the loop ask the system for news first.
    """

    __slots__ = (
        *("_asyncio_future_blocking", "_callback", "_context", "_done", "_error"),
        *("_queue", "_result", "id"),
    )

    def __init__(self, queue: LoopQueue, id: int) -> None:
        """For the call `id`."""
        self.id = id
        self._queue = queue
        self._done = False
        self._error: BaseException | None = None
        self._callback: Callable[[Any], object] | None = None

    def __await__(self) -> Generator[Any, None, Any]:
        """Waits for the answer."""
        if not self._done:
            self._asyncio_future_blocking = True
            try:
                yield self
            except BaseException:
                # The failure has come this way, or the task was cancelled, or its coroutine is
                # closed. What is raised holds this frame, so that nothing here may hold it.
                self._error = None
                self._queue.give_up(self.id)
                raise
        elif self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None
        return self._result

    def get_loop(self) -> AbstractEventLoop:
        """The event loop."""
        return self._queue.loop

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        """Has the one who waits told."""
        self._callback = callback
        self._context = context or copy_context()

    def done(self) -> bool:
        """Whether it is over."""
        return self._done

    def result(self) -> Any:
        """The answer."""
        if self._error is not None:
            raise self._error
        return self._result

    def cancel(self, msg: object = None) -> bool:
        """Ends the call, unless it is over."""
        if self._done:
            return False
        self._done = True
        self._result = None
        self._error = CancelledError() if msg is None else CancelledError(msg)
        self._queue.give_up(self.id)
        # Not at once: this is called by another task.
        self._queue.loop.call_soon(self.tell)
        return True

    def set_result(self, result: Any, /) -> None:
        """Takes the answer."""
        self._done = True
        self._result = result
        self._queue.answered.append(self)

    def set_exception(self, exception: BaseException, /) -> None:
        """Takes the failure."""
        self._done = True
        self._error = exception
        self._queue.answered.append(self)

    def tell(self) -> None:
        """Has the one who waits go on."""
        callback = self._callback
        if callback is not None:
            self._context.run(callback, self)


class LoopQueue(CompletionQueue):
    """The completion queue of an event loop."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        """For calls in `loop`, which holds it from now on."""
        super().__init__()
        self.loop = loop
        """The event loop."""
        self.answered: list[Answer] = []
        """Those of whom nobody was told yet."""
        # Whether calls are held back until `_flush`, as records by their ids.
        self._gathering = False
        self._batches: dict[_plane.Client, dict[int, bytes]] = {}
        # Whether the only one who goes on was just told: nobody will call together with it.
        self._alone = False
        try:
            loop.add_reader(self.wait_handle, self.take)
        except NotImplementedError:
            # The proactor loop of Windows.
            from skyline import _pump

            _pump.start(self)

    def begin(
        self,
        client: _plane.Client,
        method: str,
        payload: bytes | None,
        deadline: int,
        flags: int,
        raw: int = 0,
    ) -> Answer:
        """Begins a call of `client`; `raw` may be `RAW`."""
        try:
            name = method.encode()
        except (AttributeError, UnicodeEncodeError):
            name = _plane.encoded(method)
        self.last_id = id = self.last_id + 2
        id += raw
        if payload is None:
            record = _plane.header(id, deadline, len(name), 0, flags, 0) + name
        elif (length := len(payload)) < _plane.LARGE:
            flags |= _plane.PAYLOAD
            record = _plane.header(id, deadline, len(name), length, flags, 0) + name + payload
        else:
            return self._begin_large(client, id, name, payload, deadline, flags)
        if self._gathering or (self.pending and not self._alone):
            batch = self._batches.get(client)
            if batch is None:
                batch = self._batches[client] = {}
            batch[id] = record
            if not self._gathering:
                # The loop calls it when it has gone through its callbacks.
                self._gathering = True
                self.loop.call_soon(self._flush)
        elif kind := self.submit(client, record):
            raise _plane.refused(kind)
        self.pending[id] = answer = Answer(self, id)
        return answer

    def _begin_large(
        self,
        client: _plane.Client,
        id: int,
        name: bytes,
        payload: bytes,
        deadline: int,
        flags: int,
    ) -> Answer:
        # Not before those that were there earlier.
        self._hand_over()
        kind = self.submit_large(client, id, name, payload, deadline, flags)
        if kind:
            raise _plane.refused(kind)
        self.pending[id] = answer = Answer(self, id)
        return answer

    def run(self, client: _plane.Client, batch: Batch) -> Answer:
        """Makes the calls of `batch`, of which there must be some; answered when all are over."""
        self._hand_over()
        answer = Answer(self, 0)

        def on_end() -> None:
            # It is over already where the task has just been cancelled.
            if not answer.done():
                answer.set_result(None)

        batch.on_end = on_end
        batch.submit(client, self)
        return answer

    def give_up(self, id: int) -> None:
        """Ends a call that nobody waits for any more; does nothing when it is over."""
        for batch in self._batches.values():
            if batch.pop(id, None) is not None:
                # It has not even left.
                self.pending.pop(id, None)
        self.cancel(id)

    def take(self) -> None:
        """Takes the answers that have come, and has those go on who wait for them."""
        try:
            self.drain()
        finally:
            # After an interrupt too: nobody else would tell them.
            self._tell()

    def _tell(self) -> None:
        answered = self.answered
        if len(answered) == 1:
            self._alone = True
            try:
                answered.pop().tell()
            finally:
                self._alone = False
        elif answered:
            self._tell_together()

    def _tell_together(self) -> None:
        answered, self.answered = iter(self.answered), []
        # What they call leaves together, behind all of them.
        flushing, self._gathering = self._gathering, True
        try:
            for answer in answered:
                answer.tell()
        finally:
            # A program that is to exit, as a rule: asyncio lets that through.
            for answer in answered:
                self.loop.call_soon(answer.tell)
            self._gathering = flushing
            self._hand_over()

    def _flush(self) -> None:
        self._gathering = False
        self._hand_over()

    def _hand_over(self) -> None:
        if not self._batches:
            return
        batches, self._batches = self._batches, {}
        for client, batch in batches.items():
            kind = self.submit(client, b"".join(batch.values()))
            if kind:
                self.refuse(kind, batch)

    def refuse(self, kind: int, ids: Iterable[int]) -> None:
        """Tells those who wait for the calls that the library did not take them."""
        super().refuse(kind, ids)
        # Not at once: this may be called by a task.
        for answer in self.answered:
            self.loop.call_soon(answer.tell)
        self.answered.clear()


_queues: weakref.WeakKeyDictionary[AbstractEventLoop, weakref.ref[LoopQueue]] = (
    weakref.WeakKeyDictionary()
)
# Event loops of several threads may begin at once.
_beginning = threading.Lock()


def queue_of(loop: AbstractEventLoop) -> LoopQueue:
    """The completion queue of an event loop, made if there is none.

    Raises:
        ForkedError: the library was started in a parent of this process.
        ClientShutDown: the interpreter is ending.
    """
    # In a forked child the lock may be held by a thread that does not exist there.
    _process.check()
    with _beginning:
        known = _queues.get(loop)
        queue = None if known is None else known()
        if queue is None:
            queue = LoopQueue(loop)
            _queues[loop] = weakref.ref(queue)
    return queue


def no_queue() -> LoopQueue | None:
    """Stands for a reference to a queue."""
    return None
