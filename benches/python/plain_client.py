"""A worker that is a client in Python alone: what one has without this project's library.

BENCH_LIBRARY is the WebSocket library, websockets or picows; BENCH_LOOP is asyncio or uvloop. Calls
are pipelined: a call writes its packet at once, and one reader hands the answers to the callers.
It has no deadlines, no reconnecting and no bounds, which all cost time.
"""

import asyncio
import os
import time
from typing import Any, Protocol

import picows
from plain_session import PlainSession
from websockets.asyncio.client import ClientConnection, connect
from worker import Task, check, chosen, load, report, run_async

MAX_MESSAGE_BYTES = 64 << 20


class CallError(Exception):
    """The server's status was not OK."""


class Waiting:
    """The callers, by the number of their request."""

    def __init__(self, session: PlainSession) -> None:
        self._session = session
        self._futures: dict[int, asyncio.Future[Any]] = {}
        self._loop = asyncio.get_running_loop()

    def add(self, seq: int) -> asyncio.Future[Any]:
        future = self._loop.create_future()
        self._futures[seq] = future
        return future

    def answer(self, message: bytes) -> None:
        """Hands a response to its caller."""
        seq, status, text, payload = self._session.response(message)
        future = self._futures.pop(seq)
        if future.done():
            return
        if status == "OK":
            future.set_result(payload)
        else:
            future.set_exception(CallError(f"{status}: {text}"))

    def fail(self, error: BaseException) -> None:
        """Ends all waiting."""
        for future in self._futures.values():
            if not future.done():
                future.set_exception(error)
        self._futures.clear()


class Client(Protocol):
    """A connection that makes calls."""

    async def connect(self, url: str) -> None: ...
    async def call(self, method: str, payload: Any) -> Any: ...
    async def close(self) -> None: ...


class WebsocketsClient:
    """Over the package `websockets`."""

    def __init__(self, session: PlainSession) -> None:
        self._session = session
        self._waiting = Waiting(session)
        self._socket: ClientConnection
        self._reader: asyncio.Task[None]

    async def connect(self, url: str) -> None:
        # What is encrypted does not compress.
        self._socket = await connect(
            url, compression=None, max_size=MAX_MESSAGE_BYTES, ping_interval=None, proxy=None
        )
        await self._socket.send(self._session.hello())
        self._session.finish(await self._socket.recv(decode=False))
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            receive, answer = self._socket.recv, self._waiting.answer
            while True:
                answer(await receive(decode=False))
        except Exception as error:
            self._waiting.fail(error)

    async def call(self, method: str, payload: Any) -> Any:
        seq, packet = self._session.request(method, payload)
        future = self._waiting.add(seq)
        await self._socket.send(packet)
        return await future

    async def close(self) -> None:
        self._reader.cancel()
        await self._socket.close()


class PicowsClient(picows.WSListener):
    """Over the package `picows`, whose callbacks need no reader task."""

    def __init__(self, session: PlainSession) -> None:
        super().__init__()
        self._session = session
        self._waiting = Waiting(session)
        self._hello = asyncio.get_running_loop().create_future()
        self._shaken = False
        self._transport: picows.WSTransport

    async def connect(self, url: str) -> None:
        self._transport, _ = await picows.ws_connect(
            lambda: self, url, max_frame_size=MAX_MESSAGE_BYTES
        )
        self._transport.send(picows.WSMsgType.BINARY, self._session.hello())
        self._session.finish(await self._hello)
        self._shaken = True

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != picows.WSMsgType.BINARY:
            if frame.msg_type == picows.WSMsgType.CLOSE:
                transport.disconnect()
            return
        # The server writes a message as one frame.
        message = frame.get_payload_as_bytes()
        if self._shaken:
            self._waiting.answer(message)
        else:
            self._hello.set_result(message)

    def on_ws_disconnected(self, _transport: picows.WSTransport) -> None:
        error = ConnectionError("the server hung up")
        if not self._hello.done():
            self._hello.set_exception(error)
        self._waiting.fail(error)

    async def call(self, method: str, payload: Any) -> Any:
        seq, packet = self._session.request(method, payload)
        future = self._waiting.add(seq)
        self._transport.send(picows.WSMsgType.BINARY, packet)
        return await future

    async def close(self) -> None:
        self._transport.disconnect()
        await self._transport.wait_disconnected()


async def start_session(client: Client, session: PlainSession) -> None:
    """Logs in with a license that was never used before."""
    payload = {
        "productId": "telepower",
        "productVersion": "7.0.3",
        "language": "english",
        "lastLoginReportedByClient": 0,
        "deviceSerialNumber": "ADTFBB4112800098",
        "csProductUUID": "20240113-E0C2-646E-FDB1-E0C2646EFDB5",
        "licenseKey": os.environ["SKYLINE_LICENSE_KEY"],
    }
    answer = await client.call("start-session", payload)
    session.token = answer["sessionToken"]


async def work(task: Task, library: str) -> None:
    payload = bytes(task.payload_bytes)
    begun = time.perf_counter()
    session = PlainSession(os.environ["SKYLINE_IDENTITY_KEY"])
    client: Client = WebsocketsClient(session) if library == "websockets" else PicowsClient(session)
    await client.connect(os.environ["SKYLINE_URL"])
    await start_session(client, session)
    connected_in = time.perf_counter() - begun

    async def call() -> None:
        check(await client.call("test.echo", payload), len(payload))

    calls, latencies = await load(task, call)
    await client.close()
    report(task, calls, connected_in, latencies)


def main() -> None:
    task = Task.from_environment()
    library = chosen("BENCH_LIBRARY", ("websockets", "picows"))
    loop = chosen("BENCH_LOOP", ("asyncio", "uvloop"))
    run_async(loop, work(task, library))


if __name__ == "__main__":
    main()
