"""The library's C interface (skyline.h), as far as this package uses it, over ctypes.

Calls go this way, and everything else through the generated module: a call through that costs more
than the whole round trip. Both are doors to the same clients.

None of these functions calls back into Python, so no thread is ever ended by the interpreter in
the middle of one: they need none of the care that `_process` takes of the generated code.
"""

from __future__ import annotations

import ctypes
import importlib
import struct
import weakref
from typing import TYPE_CHECKING, Any

import msgpack

from skyline import _convert, _errors, _process

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyline._convert import Seconds
    from skyline._errors import SkylineError

IDEMPOTENT = 1
PAYLOAD = 2

DEFAULT_DEADLINE = (1 << 64) - 1
"""Stands for the client's own deadline."""

LARGE = 16 * 1024
"""From so many bytes on, a payload is worth some care lest it be copied once more."""

PATIENCE_MS = 100
"""How long a thread waits in the library at a time.

The library does not know of signals: Python handles them, Ctrl-C among them, when a wait ends. A
person does not notice a tenth of a second."""

# What the library loaded, so that there is one copy of it in the process.
_loaded = importlib.import_module("skyline._native.skyline")._UniffiLib
# Functions that never block keep the interpreter's lock, which is quicker than to give it away and
# get it back.
_quick = ctypes.PyDLL(_loaded._name, handle=_loaded._handle)
_blocking = ctypes.CDLL(_loaded._name, handle=_loaded._handle)

_pointer = ctypes.c_void_p
_bytes = ctypes.c_char_p
_size = ctypes.c_size_t
_u32 = ctypes.c_uint32
_u64 = ctypes.c_uint64
_i32 = ctypes.c_int32


def _declared(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    function = library[name]
    function.restype = result
    function.argtypes = arguments
    return function


_method_and_payload = (_bytes, _size, _bytes, _size)

queue_new = _declared(_quick, "skyline_queue_new", _pointer, _pointer)
queue_wait_handle = _declared(_quick, "skyline_queue_wait_handle", ctypes.c_ssize_t, _pointer)
queue_drain = _declared(_quick, "skyline_queue_drain", _size, _pointer, _pointer, _size)
queue_wait = _declared(_blocking, "skyline_queue_wait", _i32, _pointer, _u64)
submit = _declared(
    _quick, "skyline_submit", _i32, _pointer, _pointer, _u64, *_method_and_payload, _u64, _u32
)
submit_many = _declared(_quick, "skyline_submit_many", _i32, _pointer, _pointer, _bytes, _size)
_cancel = _declared(_quick, "skyline_cancel", None, _pointer, _u64)
call = _declared(
    _blocking, "skyline_call", _i32, _pointer, *_method_and_payload, _u64, _u32, _u64, _pointer
)
answer_wait = _declared(_blocking, "skyline_answer_wait", _i32, _pointer, _u64)
answer_free = _declared(_quick, "skyline_answer_free", None, _pointer)
_client_free = _declared(_quick, "skyline_client_free", None, _pointer)
_queue_free = _declared(_quick, "skyline_queue_free", None, _pointer)
_error_details = _declared(_quick, "skyline_error_details", None, _pointer, _pointer, _pointer)
_error_free = _declared(_quick, "skyline_error_free", None, _pointer)

bytes_at = _declared(
    ctypes.pythonapi, "PyBytes_FromStringAndSize", ctypes.py_object, _pointer, ctypes.c_ssize_t
)
"""A copy of memory."""

_memory_at = _declared(
    ctypes.pythonapi,
    "PyMemoryView_FromMemory",
    *(ctypes.py_object, _pointer, ctypes.c_ssize_t, ctypes.c_int),
)
_READ = 0x100

# SkylineCallHeader.
header = struct.Struct("=QQIIII").pack
"""What precedes a call in `submit_many`: id, deadline, length of method, of payload, flags, 0."""
# SkylineCompletion, with the alignment of this machine.
_completion = struct.Struct("@QPPN0Q")
COMPLETION_BYTES = _completion.size
completions = _completion.iter_unpack
"""What `queue_drain` wrote: id, error, payload and its length of each completion."""
# SkylineAnswer.
_answer = struct.Struct("@PPNP")


def memory_at(address: int, length: int) -> memoryview:
    """A view of memory, which must not outlive it."""
    view: memoryview = _memory_at(address, length, _READ)
    return view


def record(id: int, method: bytes, payload: bytes | None, deadline: int, flags: int) -> bytes:
    """A call as `submit_many` takes it."""
    if payload is None:
        return header(id, deadline, len(method), 0, flags, 0) + method
    return header(id, deadline, len(method), len(payload), flags | PAYLOAD, 0) + method + payload


class Client:
    """A handle of a connected client, which ends when nobody holds it any more."""

    __slots__ = ("__weakref__", "pointer")

    def __init__(self, pointer: int) -> None:
        """Takes the handle over."""
        self.pointer = pointer
        # Not at the interpreter's end: the library has ended by then.
        weakref.finalize(self, _free_client, pointer).atexit = False


class Queue:
    """A completion queue, which ends when nobody holds it any more."""

    __slots__ = ("__weakref__", "_alive", "pointer")

    def __init__(self) -> None:
        """Makes one."""
        error = _pointer()
        pointer = queue_new(ctypes.byref(error))
        if not pointer:
            failure = failure_at(error.value)
            _error_free(error)
            raise failure
        self.pointer: int = pointer
        self._alive = [pointer]
        weakref.finalize(self, _free_queue, self._alive).atexit = False

    def cancel(self, id: int) -> None:
        """Cancels a call, unless the library's queue has gone already.

        The garbage collector may end the queue before the coroutines that wait for its calls.
        """
        if self._alive:
            _cancel(self.pointer, id)


class Answer:
    """The memory of a SkylineAnswer."""

    __slots__ = ("_memory", "address")

    def __init__(self) -> None:
        """Holds nothing yet."""
        self._memory = ctypes.create_string_buffer(_answer.size)
        self.address = ctypes.addressof(self._memory)

    def fields(self) -> tuple[int, int, int, int]:
        """Its error, its payload and the payload's length, and what is the library's own."""
        return _answer.unpack(self._memory)


def _free_client(pointer: int) -> None:
    if _process.refusal() is None:
        _client_free(pointer)


def _free_queue(alive: list[int]) -> None:
    pointer = alive.pop()
    if _process.refusal() is None:
        _queue_free(pointer)


def failure_at(address: int | None) -> SkylineError:
    """The exception that an error of the library's stands for."""
    text, length = _pointer(), _size()
    _error_details(address, ctypes.byref(text), ctypes.byref(length))
    assert text.value is not None
    failure = _errors.from_fields(msgpack.unpackb(memory_at(text.value, length.value)))
    if isinstance(failure, (_errors.ClientShutDown, _errors.ForkedError)):
        return _process.refusal() or failure
    return failure


def refused(kind: int) -> SkylineError:
    """The exception for calls that the library did not take."""
    return _process.refusal() or _errors.of_kind(kind)


def encoded(method: str) -> bytes:
    """A method's name as the library takes it."""
    try:
        return method.encode()
    except (AttributeError, UnicodeEncodeError):
        return _convert.text("method", method).encode()


def milliseconds(deadline: Seconds | None) -> int:
    """A deadline as the library takes it."""
    if deadline is None:
        return DEFAULT_DEADLINE
    return _convert.milliseconds("deadline", deadline)


def as_bytes(payload: bytes | None) -> bytes | None:
    """A payload that is MessagePack already; any kind of bytes will do."""
    if payload is None or type(payload) is bytes:
        return payload
    return bytes(memoryview(payload))
