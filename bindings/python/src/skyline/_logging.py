"""The library's log, handed to ``logging.getLogger("skyline")``."""

from __future__ import annotations

import logging

from skyline import _native

logger = logging.getLogger("skyline")
# As the logging HOWTO asks of libraries: an application that configures no logging sees nothing.
logger.addHandler(logging.NullHandler())

TRACE = 5
"""The level of the library's finest records, half of `logging.DEBUG`, which has nothing below it.

``logging.getLogger("skyline").setLevel(5)`` shows them.
"""

_LEVELS = {
    _native.LogLevel.TRACE: TRACE,
    _native.LogLevel.DEBUG: logging.DEBUG,
    _native.LogLevel.INFO: logging.INFO,
    _native.LogLevel.WARN: logging.WARNING,
    _native.LogLevel.ERROR: logging.ERROR,
}

level_in_force: int | None = None


class _Sink(_native.LogSink):
    """Takes the library's records, on a thread of the library's that does nothing else."""

    def log(self, record: _native.LogRecord) -> None:
        level = _LEVELS[record.level]
        if not logger.isEnabledFor(level):
            return
        entry = logger.makeRecord(
            logger.name,
            level,
            fn=record.target,
            lno=0,
            msg=record.text,
            args=(),
            exc_info=None,
            extra={"target": record.target},
        )
        if level == TRACE:
            # Python has no name for this level, and naming it is the application's right.
            entry.levelname = "TRACE"
        entry.relativeCreated += record.unix_milliseconds - entry.created * 1000
        entry.created = record.unix_milliseconds / 1000
        entry.msecs = record.unix_milliseconds % 1000
        logger.handle(entry)


def install() -> None:
    """Begins to hand records to the logger."""
    global level_in_force
    level_in_force = logger.getEffectiveLevel()
    _native.set_log_sink(_native_level(level_in_force), _Sink())


def follow_level() -> None:
    """Takes over the logger's level, if it has changed since.

    Python tells nobody when a level changes, so each operation of a client looks. Records that
    the logger does not want are never made, which costs least.
    """
    global level_in_force
    level = logger.getEffectiveLevel()
    if level_in_force is not None and level != level_in_force:
        level_in_force = level
        _native.set_log_level(_native_level(level))


def _native_level(level: int) -> _native.LogLevel:
    """The finest of the library's levels that a logger of `level` lets through."""
    for native, python in _LEVELS.items():
        if python >= level:
            return native
    # A logger above ERROR drops the rest itself.
    return _native.LogLevel.ERROR
