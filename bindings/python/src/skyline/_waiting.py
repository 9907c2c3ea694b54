"""Calls that wait for their answer on the calling thread."""

from __future__ import annotations

from typing import Any

from skyline import _logging, _plane, _process
from skyline._payload import unpack

# Those that are not in use.
_answers: list[_plane.Answer] = []


def call(
    client: _plane.Client,
    method: str,
    payload: bytes | None,
    deadline: int,
    flags: int,
    *,
    raw: bool = False,
) -> Any:
    """Makes a call and waits for its answer's payload: as bytes if `raw`, else unpacked."""
    name = _plane.encoded(method)
    _process.check_end()
    _logging.follow_level()
    try:
        answer = _answers.pop()
    except IndexError:
        answer = _plane.Answer()
    address = answer.address
    length = 0 if payload is None else len(payload)
    try:
        done = _plane.call(
            *(client.pointer, name, len(name), payload, length, deadline, flags),
            *(_plane.PATIENCE_MS, address),
        )
        while not done:
            # In a forked child, and when the interpreter ends, nobody answers.
            _process.check_waiting()
            done = _plane.answer_wait(address, _plane.PATIENCE_MS)
        error, packed, length, _ = answer.fields()
        if error:
            _process.check_waiting()
            raise _plane.failure_at(error) from None
        if not packed:
            return None
        if raw or length < _plane.LARGE:
            copied = _plane.bytes_at(packed, length)
            return copied if raw else unpack(copied)
        return unpack(_plane.memory_at(packed, length))
    finally:
        # Cancels a call that was interrupted.
        _plane.answer_free(address)
        _answers.append(answer)
