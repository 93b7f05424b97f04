"""An S3-compatible server (moto) as a process of its own, and a proxy before it that counts, delays and cuts."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BUCKET = "fields"

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=testing/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)
"""Good enough for a server that checks no signature."""

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "eu-central-1",
}
"""What a user sets; any key is good for a server that checks none."""


class S3Server:
    """moto on a free port of this machine."""

    def __init__(self, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = environment
        self.start()

    def start(self) -> None:
        """Start the process; what an earlier one held is gone."""
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "moto.server",
            "-H",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env={**os.environ, **self.environment}, **quiet)
        for _ in range(600):
            try:
                self.request("GET", "/moto-api/")
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("moto did not start within a minute")

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        """Send a request past the proxy."""
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Authorization": AUTHORIZATION, "Content-Type": "application/octet-stream", **headers}
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def objects(self, prefix: str = "") -> list[str]:
        """Keys in the bucket."""
        listed = self.request("GET", f"/{BUCKET}?list-type=2&prefix={prefix}").decode()
        return re.findall(r"<Key>(.*?)</Key>", listed)

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


class CountingProxy(ThreadingHTTPServer):
    """Passes requests on to a server on this machine, and keeps what was asked.

    Attributes
    ----------
    log : list of (method, path, whether signed)
    delay_s : float
        Added to each request.
    cut : callable or None
        From method and path to whether the connection is closed instead of an answer.
    cut_after : callable or None
        The same, after the server has done what was asked.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passage)
        self.target = port
        self.log: list[tuple[str, str, bool]] = []
        self.delay_s = 0.0
        self.cut: Callable[[str, str], bool] | None = None
        self.cut_after: Callable[[str, str], bool] | None = None
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address) -> None:
        """A client that was killed leaves its connection; that is no error of the proxy."""

    def count(self, action: Callable) -> tuple[int, float]:
        """Requests and seconds of an action."""
        self.log.clear()
        began = time.monotonic()
        action()
        return len(self.log), time.monotonic() - began


class _Passage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CountingProxy

    def log_message(self, *_) -> None:
        pass

    def _pass(self) -> None:
        proxy = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy.log.append((self.command, self.path, "Authorization" in self.headers))
        time.sleep(proxy.delay_s)
        if proxy.cut is not None and proxy.cut(self.command, self.path):
            self._close()
            return
        try:
            status, headers, data = self._ask(body)
        except OSError:  # the server was stopped
            self._close()
            return
        if proxy.cut_after is not None and proxy.cut_after(self.command, self.path):
            self._close()
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        try:
            # The headers as they came, Host included: they are signed.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _close(self) -> None:
        self.close_connection = True
        self.connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass


@contextmanager
def running(**environment: str) -> Iterator[tuple[S3Server, CountingProxy]]:
    """A server with an empty bucket, and the proxy before it."""
    server = S3Server(**environment)
    proxy = CountingProxy(server.port)
    try:
        server.request("PUT", f"/{BUCKET}")
        yield server, proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        server.stop()
