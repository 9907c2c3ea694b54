"""Many calls at once, as one: how they are written, and how their answers are gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skyline import _plane, _process
from skyline._convert import wrong_type
from skyline._errors import PayloadError
from skyline._payload import pack
from skyline._queue import CompletionQueue, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Batch:
    """Calls that begin together and end together, each with an answer or an error of its own."""

    def __init__(self, requests: Iterable[tuple[str, Any]], deadline: int, flags: int) -> None:
        """Takes the calls, each a method's name and a payload; none is made yet.

        Raises:
            TypeError: a request is no such pair.
        """
        # What came: None, MessagePack, `Unpacked` or a SkylineError.
        self._results: list[Any] = []
        self._requests: list[tuple[int, bytes, bytes | None]] = []
        self._deadline = deadline
        self._flags = flags
        for request in requests:
            try:
                method, payload = request
            except (TypeError, ValueError):
                raise wrong_type("a request", "a method and a payload", request) from None
            name = _plane.encoded(method)
            index = len(self._results)
            self._results.append(None)
            try:
                packed = None if payload is None else pack(payload)
            except PayloadError as error:
                self._results[index] = error.with_traceback(None)
            else:
                self._requests.append((index, name, packed))
        self.open = len(self._requests)
        """How many calls are not over."""
        self.ids: list[int] = []
        """The calls that were begun."""
        self.on_end: Callable[[], object] = _nothing
        """Called when none is open any more."""

    def submit(self, client: _plane.Client, queue: CompletionQueue) -> None:
        """Begins all the calls, the small ones of them in one submit."""
        small: dict[int, bytes] = {}
        large: list[tuple[int, bytes, bytes]] = []
        for index, name, packed in self._requests:
            id = queue.next_id()
            queue.pending[id] = _Place(self, index)
            if packed is not None and len(packed) >= _plane.LARGE:
                large.append((id, name, packed))
            else:
                small[id] = _plane.record(id, name, packed, self._deadline, self._flags)
        self._requests.clear()
        self.ids = [*small, *(id for id, _, _ in large)]
        if small:
            kind = queue.submit(client, b"".join(small.values()))
            if kind:
                queue.refuse(kind, small)
        for id, name, packed in large:
            kind = queue.submit_large(client, id, name, packed, self._deadline, self._flags)
            if kind:
                queue.refuse(kind, [id])

    def put(self, index: int, result: Any) -> None:
        """Takes the result of one call."""
        self._results[index] = result
        self.open -= 1
        if not self.open:
            self.on_end()

    def cancel(self, queue: CompletionQueue) -> None:
        """Ends the calls that are open."""
        for id in self.ids:
            queue.cancel(id)

    def results(self, *, return_exceptions: bool) -> list[Any]:
        """All the results, in the order of the requests.

        Raises:
            SkylineError: the first failure, unless they are to stand among the results.
        """
        results = [_outcome(result) for result in self._results]
        if not return_exceptions:
            for result in results:
                if isinstance(result, Exception):
                    # Else its traceback would hold this frame, and this frame the error.
                    results.clear()
                    self._results.clear()
                    raise result
        return results


class _Place:
    """Where the answer of one call goes."""

    __slots__ = ("_batch", "_index")

    def __init__(self, batch: Batch, index: int) -> None:
        self._batch = batch
        self._index = index

    def done(self) -> bool:
        return False

    def set_result(self, result: Any, /) -> None:
        self._batch.put(self._index, result)

    def set_exception(self, exception: Exception, /) -> None:
        self._batch.put(self._index, exception)


def _outcome(result: Any) -> Any:
    if isinstance(result, Exception):
        return result
    try:
        return unpacked(result)
    except PayloadError as error:
        return error.with_traceback(None)


def _nothing() -> None:
    pass


def wait_for_all(batch: Batch, client: _plane.Client) -> None:
    """Makes the calls of `batch` and waits on this thread until all are over."""
    _process.check()
    queue = CompletionQueue()
    batch.submit(client, queue)
    try:
        while batch.open:
            _process.check_waiting()
            if _plane.queue_wait(queue.native.pointer, _plane.PATIENCE_MS):
                queue.drain()
    except BaseException:
        batch.cancel(queue)
        raise
