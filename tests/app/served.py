"""Servers that a test starts, stops and starts again, and lines between them and the browser."""

import asyncio
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest


def start(catalog, port: int, *options: str) -> subprocess.Popen:
    """`fluxlens serve` on a port, once it answers."""
    command = [sys.executable, "-m", "fluxlens.app.cli", "serve", "--no-open", "--catalog", str(catalog)]
    server = subprocess.Popen(
        [*command, "--port", str(port), *options],
        cwd=catalog.parent,
        env=os.environ | {"FLUXLENS_CACHE": str(catalog.parent / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    await_answer(f"http://localhost:{port}/", server)
    return server


def await_answer(address: str, server: subprocess.Popen, seconds: float = 300) -> None:
    """Until something answers at the address, with whatever status."""
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=30).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if server.poll() is not None:
                pytest.fail(
                    f"the server ended: {(server.stderr.read() if server.stderr else b'').decode()[-2000:]}"
                )
            if time.monotonic() > until:
                server.kill()
                pytest.fail(f"nothing answered at {address} in {seconds:g} s")
            time.sleep(0.3)


def stop(server: subprocess.Popen) -> None:
    """End a server and wait until its port is free."""
    server.terminate()
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(60)
    if server.stderr:
        server.stderr.close()


@contextmanager
def line_to(port: int, delay_s: float = 0.0, prefix: str = "", strip: bool = False, host: str = ""):
    """The port of a line to ``port``: slow, or a proxy like those of hubs.

    Chromium's own emulation of slow networks does not reach websockets, which is why the line itself is slow.

    Parameters
    ----------
    port : int
        Of the server.
    delay_s : float
        Seconds that everything takes longer each way.
    prefix : str
        Path under which the proxy hands requests on; others get 404.
    strip : bool
        Whether the proxy takes the prefix off, as jupyter-server-proxy does, or leaves it, as hubs do.
    host : str
        Host header that the proxy writes over the browser's, as nginx does if it is not told otherwise.
    """

    def rewrite(head: bytes) -> bytes:
        """The head of a request as the proxy hands it on; one request a connection, so that heads are found."""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, version = first.split(" ")
        if prefix:
            if not path.startswith(prefix):
                return b""
            path = (path[len(prefix) :] or "/") if strip else path
        headers = [line for line in lines if line and not line.lower().startswith("sec-fetch")]
        if host:
            headers = [f"Host: {host}" if line.lower().startswith("host:") else line for line in headers]
        if not any(line.lower().startswith("upgrade:") for line in headers):
            headers = [line for line in headers if not line.lower().startswith("connection:")]
            headers.append("Connection: close")
        return "\r\n".join([f"{method} {path} {version}", *headers, "", ""]).encode("latin-1")

    loop, started, ports = asyncio.new_event_loop(), threading.Event(), []
    writers: set[asyncio.StreamWriter] = set()

    async def pass_on(reader, writer) -> None:
        # Parts are sent when their time has come, so that the line is slow but not narrow.
        queue: asyncio.Queue = asyncio.Queue()

        async def send() -> None:
            while True:
                due, part = await queue.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not part:
                    break
                writer.write(part)
                await writer.drain()
            writer.close()

        sending = asyncio.ensure_future(send())
        try:
            while part := await reader.read(65536):
                queue.put_nowait((loop.time() + delay_s, part))
        except OSError:
            pass
        queue.put_nowait((loop.time() + delay_s, b""))
        try:
            await sending
        except OSError:
            writer.close()

    async def connect(reader, writer) -> None:
        writers.add(writer)
        head = b""
        if prefix or host:
            try:
                head = rewrite((await reader.readuntil(b"\r\n\r\n"))[:-4])
            except (asyncio.IncompleteReadError, OSError):
                writer.close()
                return
            if not head:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                writer.close()
                return
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("localhost", port)
        except OSError:
            writer.close()
            return
        writers.add(upstream_writer)
        upstream_writer.write(head)
        await asyncio.gather(pass_on(reader, upstream_writer), pass_on(upstream_reader, writer))

    async def listen() -> None:
        # Kept by the loop until it is told to end: a server that is collected closes nothing.
        async with await asyncio.start_server(connect, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            started.set()
            await ending.wait()

    ending = asyncio.Event()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(listen(), loop)
    started.wait(60)
    try:
        yield ports[0]
    finally:

        async def end() -> None:
            ending.set()
            # Both ends closed, the readers find the end of their stream and all tasks end by themselves.
            for writer in writers:
                writer.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            _, late = await asyncio.wait(others, timeout=5) if others else (set(), set())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
