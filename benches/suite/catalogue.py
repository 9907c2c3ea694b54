"""What is measured: the workers, the loads, and the budgets that the results are held against."""

import itertools
from dataclasses import dataclass, field
from typing import Any, Literal

KIB = 1 << 10
MIB = 1 << 20

Endpoint = Literal["skyline", "skyline-ring", "raw-all", "raw-each"]
Sample = dict[str, Any]
"""What a worker printed."""


@dataclass(frozen=True)
class Load:
    """What a worker is to do; `rate` is calls per second at fixed times."""

    callers: int
    payload_bytes: int
    rate: int | None = None

    def __str__(self) -> str:
        callers = "sequential" if self.callers == 1 else f"{self.callers} callers"
        pace = f", {self.rate} calls/s" if self.rate else ""
        return f"{callers}, {size(self.payload_bytes)}{pace}"


def size(count: int) -> str:
    """A number of bytes for people."""
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} B"


@dataclass(frozen=True)
class Worker:
    """A program that keeps the contract of benches/README.md.

    `needs` is the command that builds it once, for workers that the Rust build or the Python
    environment does not hold already; `{release}` and `{python}` stand for their folders.
    """

    name: str
    command: tuple[str, ...]
    endpoint: Endpoint = "skyline"
    environment: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    # A server of its own, whose memory and time nobody else has used.
    fresh_server: bool = False
    # What a just-in-time compiler needs before it counts, in seconds; the usual warm-up is shorter.
    warmup: float = 0
    # Connections at a time that each need a license of their own.
    licenses: int = 1


@dataclass(frozen=True)
class Bound:
    """A budget."""

    limit: float
    at_least: bool = True

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True)
class Comparison:
    """The calls per second of the subject as a multiple of the baseline's, in one round."""

    subject: Worker
    baseline: Worker
    load: Load
    budget: Bound | None = None

    @property
    def name(self) -> str:
        return f"{self.subject.name} / {self.baseline.name}, {self.load}"


@dataclass(frozen=True)
class Absolute:
    """A figure that one worker prints under `key`; `per` divides it by another one."""

    title: str
    worker: Worker
    key: str
    unit: str
    budget: Bound | None
    load: Load = field(default=Load(1, 64))
    per: str | None = None
    scale: float = 1.0

    @property
    def name(self) -> str:
        return self.title

    def value(self, sample: Sample) -> float:
        return float(sample[self.key]) / float(sample[self.per] if self.per else 1) * self.scale


def _rust(name: str, *arguments: str) -> tuple[str, ...]:
    return (f"{{release}}/{name}", *arguments)


def _python(name: str, loop: str, script: str, **environment: str) -> Worker:
    variables = tuple({"BENCH_LOOP": loop, **environment}.items())
    return Worker(name, ("{python}/python", f"benches/python/{script}.py"), environment=variables)


def _plain(library: str, loop: str) -> Worker:
    return _python(f"{library} ({loop})", loop, "plain_client", BENCH_LIBRARY=library)


def _foreign(name: str, script: str, *arguments: str, warmup: float = 0) -> Worker:
    return Worker(name, (script, *arguments), needs=(script, "--build"), warmup=warmup)


RAW = Worker("raw echo", _rust("raw-echo", "client", "--flush", "all"), endpoint="raw-all")
RAW_EACH = Worker(
    "raw echo, flush each", _rust("raw-echo", "client", "--flush", "each"), endpoint="raw-each"
)
RAW_FLOOR = Worker(
    "raw echo, no callers",
    _rust("raw-echo", "client", "--flush", "all", "--without-callers"),
    endpoint="raw-all",
)
RUST = Worker("Rust", _rust("rust-client"), environment=(("BENCH_RUNTIME", "shared"),))
# The default, under any executor and in every other language: two threads that wake each other.
RUST_THREAD = Worker("Rust, own thread", _rust("rust-client"))
# Client and server with the feature `ring`.
RUST_RING = Worker(
    "Rust, ring",
    _rust("ring/rust-client"),
    endpoint="skyline-ring",
    environment=(("BENCH_RUNTIME", "shared"),),
)
ASYNCIO = _python("Python asyncio", "asyncio", "skyline_worker")
UVLOOP = _python("Python uvloop", "uvloop", "skyline_worker")
BLOCKING = _python("Python blocking", "blocking", "skyline_worker")
WEBSOCKETS = _plain("websockets", "asyncio")
WEBSOCKETS_UVLOOP = _plain("websockets", "uvloop")
PICOWS = _plain("picows", "asyncio")
PICOWS_UVLOOP = _plain("picows", "uvloop")
KOTLIN = _foreign("Kotlin", "scripts/kotlin-bench", warmup=4)
KOTLIN_PLAIN = _foreign("plain Kotlin", "scripts/kotlin-bench", "--plain", warmup=4)
SWIFT = _foreign("Swift", "scripts/swift-bench")
SWIFT_PLAIN = _foreign("plain Swift", "scripts/swift-bench", "--plain")
SWIFT_SOCKET = _foreign("plain Swift, own socket", "scripts/swift-bench", "--plain-socket")

STARTUP = Worker("startup", ("{python}/python", "benches/python/startup.py"))
HANDSHAKES = Worker("handshakes", _rust("handshakes"), fresh_server=True, licenses=64)
IDLE = Worker(
    "idle connections",
    _rust("idle-connections"),
    # Until the server has given back what the logins took.
    environment=(("BENCH_CONNECTIONS", "10000"), ("BENCH_SECONDS", "5")),
    fresh_server=True,
    licenses=64,
)

PAYLOADS = (64, KIB, 64 * KIB, MIB)
CALLERS = (1, 64, 1000)
# 1 000 callers with 64 KiB or 1 MiB each would hold up to a gigabyte in flight, which the bounds of
# client and server forbid: that measures the waiting. 64 with 1 MiB is as much as they let through.
SENSELESS = {(1000, 64 * KIB), (1000, MIB)}
MATRIX = tuple(
    Load(callers, payload)
    for payload, callers in itertools.product(PAYLOADS, CALLERS)
    if (callers, payload) not in SENSELESS
)
SEQUENTIAL = Load(1, 64)
MANY = Load(64, 64)
# A rate that every worker keeps up with, and callers enough that none is waited for.
PACED = Load(64, 64, rate=1000)

MATRIX_WORKERS = (
    RAW,
    RUST,
    RUST_THREAD,
    RUST_RING,
    ASYNCIO,
    UVLOOP,
    BLOCKING,
    WEBSOCKETS,
    WEBSOCKETS_UVLOOP,
    PICOWS,
    PICOWS_UVLOOP,
    KOTLIN,
    KOTLIN_PLAIN,
    SWIFT,
    SWIFT_PLAIN,
    SWIFT_SOCKET,
)
PACED_WORKERS = tuple(worker for worker in MATRIX_WORKERS if worker is not RAW)

COMPARISONS: tuple[Comparison, ...] = (
    *(
        Comparison(client, baseline, load, Bound(limit))
        for client in (RUST, RUST_RING, RUST_THREAD)
        for baseline, load, limit in (
            (RAW, SEQUENTIAL, 0.80),
            (RAW, Load(1, KIB), 0.80),
            (RAW, Load(1, 4 * KIB), 0.75),
            (RAW, Load(1, 64 * KIB), 0.45),
            (RAW, MANY, 0.30),
            (RAW_EACH, MANY, 1.3),
        )
    ),
    # The floor has no callers to wake: to be seen beside the others, not to be held against.
    Comparison(RUST, RAW_FLOOR, MANY),
    Comparison(ASYNCIO, WEBSOCKETS, SEQUENTIAL, Bound(1.4)),
    Comparison(UVLOOP, WEBSOCKETS_UVLOOP, SEQUENTIAL, Bound(1.8)),
    Comparison(BLOCKING, WEBSOCKETS, SEQUENTIAL, Bound(2.5)),
    Comparison(ASYNCIO, WEBSOCKETS, MANY, Bound(4)),
    Comparison(UVLOOP, WEBSOCKETS_UVLOOP, MANY, Bound(6)),
    Comparison(ASYNCIO, PICOWS, SEQUENTIAL),
    Comparison(UVLOOP, PICOWS_UVLOOP, SEQUENTIAL),
    Comparison(ASYNCIO, PICOWS, MANY),
    Comparison(UVLOOP, PICOWS_UVLOOP, MANY),
    Comparison(KOTLIN, KOTLIN_PLAIN, SEQUENTIAL, Bound(1.5)),
    Comparison(KOTLIN, KOTLIN_PLAIN, MANY, Bound(3)),
    Comparison(SWIFT, SWIFT_PLAIN, SEQUENTIAL, Bound(1.5)),
    Comparison(SWIFT, SWIFT_PLAIN, MANY, Bound(3)),
    Comparison(SWIFT, SWIFT_SOCKET, SEQUENTIAL),
    Comparison(SWIFT, SWIFT_SOCKET, MANY),
    Comparison(SWIFT, SWIFT_SOCKET, Load(1, MIB)),
)

ABSOLUTES = (
    Absolute(
        "full connections per second and core",
        HANDSHAKES,
        "connections",
        "1/s",
        Bound(4000),
        per="server_cpu_seconds",
    ),
    Absolute(
        "server's memory per idle connection, 10 000 of them",
        IDLE,
        "bytes_per_connection",
        "KiB",
        Bound(10, at_least=False),
        scale=1 / KIB,
    ),
    Absolute(
        "`import skyline` until a client is made",
        STARTUP,
        "ready_ms",
        "ms",
        Bound(60, at_least=False),
    ),
    Absolute("`import skyline` until it is connected", STARTUP, "connected_ms", "ms", None),
)
LIBRARY_SIZE = Bound(6, at_least=False)
"""Of the stripped library, in MB."""
