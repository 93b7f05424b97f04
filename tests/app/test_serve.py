"""Who may reach the page: origins that are named, and those with a name and a password where that is asked."""

import asyncio
import gc
import http.client
import json
import logging
import subprocess
import sys
import time
from urllib.parse import urlencode

import pytest
from bokeh.server.connection import ServerConnection
from fluxlens.app.cli import main
from fluxlens.app.server import forget_closed_connections
from fluxlens.app.views.connection import is_no_message_after_its_session
from test_browser import free_port
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version": "13",
}


@pytest.fixture(scope="module")
def port(catalog):
    """The dashboard with a login and one origin more."""
    users, port = catalog.parent / "users.json", free_port()
    users.write_text('{"ada": "lovelace1843"}')
    users.chmod(0o600)
    command = [
        sys.executable,
        "-m",
        "fluxlens.app.cli",
        "serve",
        "--catalog",
        str(catalog),
        "--port",
        str(port),
    ]
    command += ["--no-open", "--login", str(users), "--allow-origin", "fluxlens.example.org"]
    with subprocess.Popen(command, cwd=catalog.parent, stderr=subprocess.PIPE) as server:
        until = time.monotonic() + 300
        while True:
            try:
                request(port, "/login")
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > until:
                    server.kill()
                    pytest.fail(server.stderr.read().decode()[-2000:])
                time.sleep(0.3)
        yield port
        server.terminate()


def request(port: int, path: str, method: str = "GET", body: str | None = None, **headers: str):
    """Status, headers and text of one request; nothing is followed."""
    line = http.client.HTTPConnection("localhost", port, timeout=30)
    line.request(method, path, body, headers)
    answer = line.getresponse()
    text = "" if answer.status == 101 else answer.read().decode(errors="replace")
    line.close()
    return answer.status, answer.headers, text


def log_in(port: int, name: str, password: str) -> str:
    """The cookies given."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"username": name, "password": password})
    _, headers, _ = request(port, "/login", "POST", body, **form)
    return "; ".join(cookie.split(";")[0] for cookie in headers.get_all("Set-Cookie") or [])


def test_without_a_login_there_is_no_page_and_no_socket(port):
    status, headers, text = request(port, "/")
    assert (status, headers["Location"].split("?")[0]) == (302, "./login")
    assert "tiny" not in text
    assert request(port, "/ws", Origin=f"http://localhost:{port}", **UPGRADE)[0] in (302, 401, 403)


def test_the_login_page_is_ours_and_runs_nothing_it_is_told(port):
    status, _, text = request(port, "/login?error=%3Cscript%3Ealert(1)%3C/script%3E")
    assert status == 200
    assert "<script" not in text
    assert "http" not in text
    assert "do not fit" in text


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("", ""), ("eve", "lovelace1843")])
def test_a_wrong_password_opens_nothing(port, name, password):
    assert request(port, "/", Cookie=log_in(port, name, password))[0] == 302


def test_a_right_one_opens_the_page(port):
    status, _, text = request(port, "/", Cookie=log_in(port, "ada", "lovelace1843"))
    assert status == 200
    assert "<title>fluxlens</title>" in text


def test_only_named_origins_open_a_socket(port):
    cookie = log_in(port, "ada", "lovelace1843")
    for origin, allowed in (
        ("http://fluxlens.example.org", True),
        (f"http://localhost:{port}", True),
        ("http://evil.example.org", False),
        ("http://fluxlens.example.org.evil.org", False),
    ):
        status = request(port, "/ws", Origin=origin, Cookie=cookie, **UPGRADE)[0]
        assert (status == 101) == allowed, (origin, status)
        assert allowed or status == 403


@pytest.mark.parametrize(
    ("content", "mode", "match"),
    [
        ("{", 0o600, "not JSON"),
        ("{}", 0o600, "8 letters"),
        ('{"ada": "short"}', 0o600, "8 letters"),
        ('["ada"]', 0o600, "8 letters"),
        (json.dumps({"ada": "lovelace1843"}), 0o644, "chmod 600"),
        (None, 0, "No such file"),
    ],
)
def test_a_wrong_file_of_users_is_told_before_anything_is_served(
    tmp_path, catalog, capsys, content, mode, match
):
    users = tmp_path / "users.json"
    if content is not None:
        users.write_text(content)
        users.chmod(mode)
    assert main(["serve", "--catalog", str(catalog), "--login", str(users)]) == 2
    assert match in capsys.readouterr().err


@pytest.mark.parametrize("origin", ["*", "http://a.org", "*.a.org", "a.org/x", "a.org:port"])
def test_a_wrong_origin_is_told(catalog, capsys, origin):
    assert main(["serve", "--catalog", str(catalog), "--allow-origin", origin]) == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_a_connection_that_broke_leaves_no_traceback_and_other_errors_do(caplog):
    async def fail(error: Exception) -> None:
        raise error

    async def serve() -> None:
        await forget_closed_connections()
        for error in (WebSocketClosedError(), StreamClosedError(), ValueError("a defect")):
            task = asyncio.ensure_future(fail(error))
            await asyncio.wait([task])
            del task
            gc.collect()

    asyncio.run(serve())
    assert len(caplog.records) == 1
    assert "a defect" in caplog.text


def test_a_message_after_its_session_leaves_no_traceback_and_other_failures_do(caplog):
    log = logging.getLogger("tests.serve")
    log.addFilter(is_no_message_after_its_session)
    detached = ServerConnection.__new__(ServerConnection)
    detached._session = None

    def other_assertion() -> None:
        raise AssertionError("a defect")

    for access in (lambda: detached.session, other_assertion):
        try:
            access()
        except AssertionError:
            log.exception("error handling message")
    log.error("without an error")
    assert [record.message for record in caplog.records] == ["error handling message", "without an error"]
    assert "a defect" in caplog.text
