"""Visitors over real websockets, and one in a real browser: how long each waits, what stays in memory."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

THINKING_S = (1.0, 3.0)
"""Between an answer and the next question of one visitor."""
DISCARDED_S = 40
"""After so long the server has let go of a page that was closed."""
PATIENCE_S = 30
MOST_VISITORS = 1000
"""Pages that are fetched at once, at most."""
TAPPED = 0.4
"""Share of the map's width: the tower stands in the middle, and a tap there asks for its page instead."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@dataclass
class Server:
    """`fluxlens serve` on one store, as a process of its own."""

    port: int
    pid: int
    up_s: float
    """Until it answered for the first time."""

    @property
    def resident_mb(self) -> float:
        """Memory in use, MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000


@contextmanager
def served(store: Path, *others: Path, log: Path | None = None) -> Iterator[Server]:
    """A server of a store and others, opened by one first visitor; what it says on stderr goes to ``log``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="fluxlens-bench-") as folder:
        catalog = Path(folder) / "catalog.yaml"
        named = {"bench": store} | {f"bench{n}": other for n, other in enumerate(others, 2)}
        entries = (
            f"  {name}: {{driver: fluxlens_embeddings, description: A made-up season., args: {{store: {path}}}}}\n"
            for name, path in named.items()
        )
        catalog.write_text("metadata: {version: 1}\nsources:\n" + "".join(entries))
        command = [
            sys.executable,
            "-m",
            "fluxlens.app.cli",
            "serve",
            "--no-open",
            "--catalog",
            catalog,
            "--port",
            port,
        ]
        started = time.perf_counter()
        log = log or Path(folder) / "stderr.txt"
        with (
            log.open("w") as words,
            subprocess.Popen([str(part) for part in command], stderr=words) as process,
        ):
            try:
                while True:
                    with suppress(OSError):
                        urllib.request.urlopen(f"http://localhost:{port}/", timeout=60).close()
                        break
                    if process.poll() is not None:
                        raise RuntimeError(log.read_text()[-2000:])
                    time.sleep(0.05)
                yield Server(port, process.pid, time.perf_counter() - started)
            finally:
                process.terminate()


@dataclass
class Visitor:
    """One page: its websocket and the models on it that are touched or watched."""

    server: Server
    query: str = ""
    waits_ms: dict[str, list[float]] = field(default_factory=lambda: {"tap": [], "step": []})
    errors: list[str] = field(default_factory=list)

    async def open(self) -> None:
        """Loads the page and waits until the map is there."""
        from tornado.httpclient import AsyncHTTPClient, HTTPRequest
        from tornado.websocket import websocket_connect

        address = f"localhost:{self.server.port}"
        # One client for all visitors of a loop; it queues more than ten requests unless told otherwise, and that queue
        # is no wait at the server.
        client = AsyncHTTPClient(max_clients=MOST_VISITORS)
        page = await client.fetch(f"http://{address}/{self.query}", request_timeout=PATIENCE_S * 4)
        token = re.search(r'"token":"([^"]+)"', page.body.decode())[1]
        request = HTTPRequest(f"ws://{address}/ws", headers={"Origin": f"http://{address}"})
        self.socket = await websocket_connect(request, subprotocols=["bokeh", token], max_message_size=2**30)
        self.socket.protocol.set_nodelay(True)  # as browsers do
        self.heard: asyncio.Queue = asyncio.Queue()
        self.listening = asyncio.ensure_future(self._listen())
        await self._receive()  # ACK
        until = time.monotonic() + 10 * PATIENCE_S
        drawn = False
        while True:
            await self._send("PULL-DOC-REQ", {})
            header, content = await self._receive()
            while header["msgtype"] != "PULL-DOC-REPLY":
                header, content = await self._receive()
            if not drawn:
                await self._send("PATCH-DOC", {"events": [_event("document_ready", {})]})
                drawn = True
            models = list(_objects(content))
            if any(model["name"] == "ImageRGBA" for model in models):
                break
            if time.monotonic() > until:
                raise TimeoutError("the page never showed a map")
            await asyncio.sleep(1)
        self._recognise(models)

    def _recognise(self, models: list[dict]) -> None:
        by_id = {model["id"]: model for model in models}
        slider = next(model for model in models if model["name"] == "DateSlider")
        self.slider = slider["id"], slider["attributes"]["start"], slider["attributes"]["end"]
        # A step to the day that is shown already would wait for a picture that never comes.
        self.day = round((slider["attributes"]["value"] - slider["attributes"]["start"]) / 86_400_000)
        glyphs = [model for model in models if model["name"] == "GlyphRenderer"]
        images = [g for g in glyphs if by_id[g["attributes"]["glyph"]["id"]]["name"] == "ImageRGBA"]
        # the layer carries its values along; what lies beneath it and what is being computed do not
        drawn = [g for g in images if '"v0"' in json.dumps(by_id[g["attributes"]["data_source"]["id"]])]
        self.image = drawn[0]["attributes"]["data_source"]["id"]
        self.figure, extent = next(
            (model["id"], [by_id[model["attributes"][r]["id"]]["attributes"] for r in ("x_range", "y_range")])
            for model in models
            if model["name"] == "Figure"
            and any(part["id"] == drawn[0]["id"] for part in model["attributes"].get("renderers", ()))
        )
        self.extent = [(axis["start"], axis["end"]) for axis in extent]
        lines = [g for g in glyphs if by_id[g["attributes"]["glyph"]["id"]]["name"] == "Line"]
        self.daily = next(
            g["attributes"]["data_source"]["id"]
            for g in lines
            if by_id[g["attributes"]["glyph"]["id"]]["attributes"]["y"].get("field") == "PC1"
        )

    async def stay(self, seconds: float, draw: random.Random) -> None:
        """Taps and steps in turns until the time is over."""
        until = time.monotonic() + seconds
        await asyncio.sleep(draw.uniform(0, THINKING_S[1]))
        while time.monotonic() < until:
            what = draw.choice(("tap", "step"))
            try:
                self.waits_ms[what].append(await asyncio.wait_for(getattr(self, what)(draw), PATIENCE_S))
            except Exception as error:  # whatever goes wrong is what is counted
                self.errors.append(f"{what}: {type(error).__name__} {error}")
                return
            await asyncio.sleep(draw.uniform(*THINKING_S))

    async def tap(self, draw: random.Random) -> float:
        """Milliseconds until the charts hold another pixel."""
        (left, right), (bottom, top) = self.extent
        right = left + TAPPED * (right - left)
        values = {"model": {"id": self.figure}, "sx": 1, "sy": 1, "modifiers": {"type": "map", "entries": []}}
        values |= {"x": draw.uniform(left, right), "y": draw.uniform(bottom, top)}
        return await self._ask(_event("tap", values), self.daily)

    async def step(self, draw: random.Random) -> float:
        """Milliseconds until the map holds another day."""
        slider, first, last = self.slider
        days = round((last - first) / 86_400_000)
        self.day = draw.choice([n for n in range(days + 1) if n != self.day])
        change = {"kind": "ModelChanged", "model": {"id": slider}, "attr": "value"}
        return await self._ask(change | {"new": first + self.day * 86_400_000}, self.image)

    async def _ask(self, event: dict, changed: str) -> float:
        while not self.heard.empty():
            await self._receive()  # what the server sent by itself
        started = time.perf_counter()
        await self._send("PATCH-DOC", {"events": [event]})
        while True:
            header, content = await self._receive()
            if header["msgtype"] == "ERROR":
                raise RuntimeError(str(content)[:300])
            if any(_source(change) == changed for change in content.get("events", ())):
                return 1000 * (time.perf_counter() - started)

    def close(self) -> None:
        self.listening.cancel()
        self.socket.close()

    async def _send(self, kind: str, content: dict) -> None:
        self.sent = getattr(self, "sent", 0) + 1
        for part in ({"msgid": str(self.sent), "msgtype": kind}, {}, content):
            await self.socket.write_message(json.dumps(part))

    async def _listen(self) -> None:
        """Header and content of every message, their buffers dropped; None when the server has closed."""
        while True:
            parts = [await self.socket.read_message() for _ in range(3)]
            if None in parts:
                return self.heard.put_nowait(None)
            header, _, content = map(json.loads, parts)
            for _ in range(2 * header.get("num_buffers", 0)):
                await self.socket.read_message()
            self.heard.put_nowait((header, content))

    async def _receive(self) -> tuple[dict, dict]:
        message = await self.heard.get()
        if message is None:
            raise ConnectionError("the server closed the page")
        return message


def _event(name: str, values: dict) -> dict:
    """As the browser tells the server that something happened."""
    event = {"type": "event", "name": name, "values": {"type": "map", "entries": list(values.items())}}
    return {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": event}


def _objects(content: Any) -> Iterator[dict]:
    """All models inside a document, at any depth."""
    if isinstance(content, dict):
        if content.get("type") == "object" and "id" in content:
            yield {"attributes": {}} | content
        for part in content.values():
            yield from _objects(part)
    elif isinstance(content, list):
        for part in content:
            yield from _objects(part)


def _source(event: dict) -> str:
    """Id of the source whose columns an event replaces."""
    return event.get("model", {}).get("id", "") if event.get("attr") == "data" else ""


async def _together(server: Server, count: int, seconds: float) -> dict:
    visitors = [Visitor(server, "?layer=gpp" if n % 2 else "?layer=pca") for n in range(count)]
    for visitor in visitors:
        await visitor.open()
    await asyncio.gather(*(v.stay(seconds, random.Random(n)) for n, v in enumerate(visitors)))
    for visitor in visitors:
        visitor.close()
    waits = {what: [ms for visitor in visitors for ms in visitor.waits_ms[what]] for what in ("tap", "step")}
    errors = [error for visitor in visitors for error in visitor.errors]
    if errors:
        print(f"first error: {errors[0]}", file=sys.stderr)
    out: dict[str, Any] = {"sessions": count, "sessions_s": seconds, "sessions_errors": len(errors)}
    for what, times_ms in waits.items():
        out[f"sessions_{what}s"] = len(times_ms)
        out[f"sessions_{what}_median_ms"] = float(np.median(times_ms)) if times_ms else np.nan
        out[f"sessions_{what}_p95_ms"] = float(np.percentile(times_ms, 95)) if times_ms else np.nan
    return out


async def _come_and_go(server: Server, count: int) -> None:
    for n in range(count):
        visitor = Visitor(server)
        await visitor.open()
        await visitor.tap(random.Random(n))
        visitor.close()


def sessions(store: Path, count: int = 20, seconds: float = 120, visits: int = 200) -> dict:
    """``count`` visitors at once that tap and step, then ``visits`` one after another: a flat object.

    Each waits for its answer, thinks one to three seconds and asks again; half of them look at GPP.
    """
    with served(store) as server:
        asyncio.run(_come_and_go(server, 1))
        out = asyncio.run(_together(server, count, seconds))
        if visits > 20:
            sizes = []
            for more in (20, visits - 20):
                asyncio.run(_come_and_go(server, more))
                time.sleep(DISCARDED_S)
                sizes.append(server.resident_mb)
            out |= {"visits": visits, "resident_after_20_mb": sizes[0], "resident_after_all_mb": sizes[1]}
            out["resident_growth"] = sizes[1] / sizes[0] - 1
        return out


def first_page(store: Path) -> dict:
    """Seconds until the server of a store answers, and from then until a real browser shows map and charts."""
    found = (
        os.environ.get("FLUXLENS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    if found is None:
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play, served(store) as server:
        browser = play.chromium.launch(executable_path=found, args=FLAGS)
        out = {"server_up_s": server.up_s}
        for name in ("page_first_s", "page_ready_s"):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            started = time.perf_counter()
            page.goto(f"http://localhost:{server.port}/")
            page.wait_for_function(DRAWN, timeout=1000 * 4 * PATIENCE_S)
            out[name] = time.perf_counter() - started
            page.close()
        browser.close()
        return out


DRAWN = """() => {
  const doc = window.Bokeh && window.Bokeh.documents[0];
  if (!doc || !doc.is_idle) return false;
  const figures = [...doc._all_models.values()].filter((model) => model.type === "Figure");
  return figures.some((f) => f.renderers.some((r) => r.glyph && r.glyph.type === "ImageRGBA"
    && r.data_source.data.dw.length && r.data_source.data.dw[0] > 0))
    && figures.some((f) => f.renderers.some((r) => r.glyph && r.glyph.type === "Line"));
}"""
"""All is laid out and drawn, map and charts among it."""
