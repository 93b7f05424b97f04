"""A server of map tiles, for the tests of the basemap."""

import io
from http.server import BaseHTTPRequestHandler

from PIL import Image


class Tiles(BaseHTTPRequestHandler):
    """A tile is one colour: its column and row, modulo 256, and its level."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers["User-Agent"]))
        z, x, y = (int(part) for part in self.path.strip("/").removesuffix(".png").split("/"))
        content = self.server.answer
        if content is None:
            out = io.BytesIO()
            Image.new("RGB", (256, 256), (x % 256, y % 256, z)).save(out, "PNG")
            content = out.getvalue()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass
