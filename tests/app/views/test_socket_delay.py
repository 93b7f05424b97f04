"""Answers leave the server at once, and not when the browser has confirmed the frame before."""

import socket
import threading
import time

import panel as pn
import pytest
from bokeh.client import ClientSession, pull_session
from bokeh.server.views.ws import WSHandler
from fluxlens.app.views.socket_delay import send_frames_at_once

PATIENCE_S = 10


@pytest.fixture
def served():
    """Address of a page, and a function that reads TCP_NODELAY of its only websocket on the server's thread."""
    found, opened = {}, threading.Event()

    def page():
        document = pn.state.curdoc

        def read_option() -> None:
            for connection in document.session_context.session._subscribed_connections:
                stream = connection._socket.ws_connection.stream
                found["delay off"] = bool(stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                opened.set()

        pn.state.add_periodic_callback(read_option, period=50)
        return pn.pane.Str("page")

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = pn.serve(page, port=port, threaded=True, show=False, verbose=False)
    yield f"http://localhost:{port}/", lambda: opened.wait(PATIENCE_S) and found["delay off"]
    server.stop()


def wait_for_session(address: str) -> ClientSession:
    """A session of the page, as soon as the server's thread listens."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return pull_session(url=address)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def test_frames_are_sent_at_once(served, monkeypatch):
    monkeypatch.setattr(WSHandler, "open", WSHandler.open)  # as before when the test ends
    send_frames_at_once.__wrapped__()
    address, is_delay_off = served
    session = wait_for_session(address)
    assert is_delay_off()
    session.close()
