"""The process around the library: its start, forks, and the end of the interpreter.

Every asynchronous operation of the generated module goes through `drive`, which keeps two promises
that the generated code cannot; calls, which go another way (`_plane`), keep them by themselves:

- In a child that `os.fork` made, where the library's threads do not exist, operations fail with
  `ForkedError` instead of waiting for ever.
- The end of the interpreter is orderly. A thread that asks for the interpreter's lock while the
  interpreter ends is ended by force (Python's C API reference, "Cautions regarding runtime
  finalization"), and in a callback that would be in the middle of Rust code, which is undefined
  behaviour. So at exit no thread may be on its way through the library: `drive` counts those that
  are, and `_end` lets no more in, waits for them, and only then stops the library.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import types
from typing import TYPE_CHECKING, Any, TypeVar

from skyline import _logging, _native
from skyline._errors import ClientShutDown, ForkedError, SkylineError, from_details

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from typing_extensions import ParamSpec

    _Arguments = ParamSpec("_Arguments")

_Result = TypeVar("_Result")

# Threads inside the library never block there, so this only bounds the damage of a defect: the
# end of a process must not hang.
_END_SECONDS = 2.0

_changed = threading.Condition()
_started_in: int | None = None
_ended = False
_threads_inside = 0
# Operations that the end of the interpreter cut off. They must not be collected: that would enter
# the library again.
_abandoned: list[object] = []


def check() -> None:
    """Raises what speaks against using the library in this process now.

    Raises:
        ForkedError: the library was started in a parent of this process.
        ClientShutDown: the interpreter is ending.
    """
    reason = refusal()
    if reason is not None:
        raise reason


def start() -> None:
    """Readies the library in this process; to be called before anything that starts its threads.

    Raises:
        ForkedError: the library was started in a parent of this process.
        ClientShutDown: the interpreter is ending.
    """
    global _started_in
    check()
    with _changed:
        if _started_in is None:
            _started_in = os.getpid()
            _logging.install()
            atexit.register(_end)


@types.coroutine
def drive(
    operation: Callable[_Arguments, Coroutine[Any, Any, _Result]],
    *args: _Arguments.args,
    **kwargs: _Arguments.kwargs,
) -> Generator[Any, Any, _Result]:
    """Awaits an asynchronous operation of the generated module; its failure is raised as ours.

    Cancelling the task that awaits cancels the operation.
    """
    check()
    _logging.follow_level()
    coroutine = operation(*args, **kwargs)
    interruption: BaseException | None = None
    try:
        while True:
            reason = _enter()
            if reason is not None:
                _abandoned.append(coroutine)
                raise reason if interruption is None else interruption
            try:
                if interruption is None:
                    awaited = coroutine.send(None)
                else:
                    awaited = coroutine.throw(interruption)
            except StopIteration as done:
                result: _Result = done.value
                return result
            except _native.Failure.Failed as failure:
                raise from_details(failure.details) from None
            finally:
                _leave()
            try:
                yield awaited
                interruption = None
            except BaseException as error:  # noqa: BLE001 - the cancellation of the task, mostly
                interruption = error
    finally:
        # Its traceback holds this frame, and with it the client.
        interruption = None


def call(operation: Callable[[], _Result]) -> _Result:
    """Calls a synchronous operation of the generated module; its failure is raised as ours."""
    check()
    _logging.follow_level()
    try:
        return operation()
    except _native.Failure.Failed as failure:
        raise from_details(failure.details) from None


def check_end() -> None:
    """As `check`, but cheap, since it does not look for forks.

    Raises:
        ClientShutDown: the interpreter is ending.
    """
    if _ended:
        check()


def check_waiting() -> None:
    """As `check`, for a thread that waits for an answer: at the interpreter's end, it waits on.

    That is what becomes of any daemon thread then. An error would be of no use but to be printed.

    Raises:
        ForkedError: the library was started in a parent of this process.
    """
    if _ended and _started_in == os.getpid():
        while True:
            time.sleep(_END_SECONDS)
    check()


def refusal() -> SkylineError | None:
    """What speaks against using the library in this process now."""
    if _started_in is not None and _started_in != os.getpid():
        return ForkedError(
            "this process was forked after Skyline had started: start worker processes before the "
            "first connect, or with the spawn method"
        )
    if _ended:
        return ClientShutDown("the interpreter is ending: Skyline can no longer be used")
    return None


def _enter() -> SkylineError | None:
    """Lets this thread go through the library, which it must `_leave` then, or says why not."""
    global _threads_inside
    # In a forked child the lock may be held by a thread that does not exist there.
    if _started_in != os.getpid():
        return refusal()
    with _changed:
        reason = refusal()
        if reason is None:
            _threads_inside += 1
        return reason


def _leave() -> None:
    global _threads_inside
    with _changed:
        _threads_inside -= 1
        if _ended:
            _changed.notify_all()


def _end() -> None:
    """Stops the library because the interpreter ends."""
    global _ended
    if _started_in != os.getpid():
        return
    with _changed:
        _ended = True
        _changed.wait_for(lambda: _threads_inside == 0, timeout=_END_SECONDS)
    _native.halt()
