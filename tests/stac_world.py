"""A STAC API with cloud-optimised files on this machine, which fails as it is told to."""

import json
import shutil
import threading
import time
from collections import Counter, defaultdict
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import rasterio
from affine import Affine
from fluxlens.embeddings.geometry import Grid
from rasterio.control import GroundControlPoint

LON, LAT = 5.99, 50.75
"""Less than a kilometre west of where zone 31 ends: both zones have tiles of it."""
HALF_M = 1000
BLOCK_PX = 128
ES_NAMES = {
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B11": "swir16",
    "B12": "swir22",
    "SCL": "scl",
}
FINE = ("B02", "B03", "B04", "B08")
PORTS: set[int] = set()
"""Of all worlds of this process: GDAL remembers files by their address, also when another world stands there."""


def ground(lon, lat):
    """What there is to see, 0-1: smooth, and different everywhere."""
    return 0.5 + 0.25 * np.sin((lon - LON) * 300) + 0.25 * np.cos((lat - LAT) * 400)


class Server(ThreadingHTTPServer):
    """Takes the connections that come at once: each image is read by several threads, and further ones are dropped."""

    # Of Python it is 5, fewer than `pixels.THREADS`: a connection beyond it waits for a second or is lost.
    request_queue_size = 128
    daemon_threads = True


class World:
    """The items of an API and the files they point to."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.items, self.page = folder, [], 100
        self.collections = ["sentinel-2-l2a", "sentinel-1-rtc", "sentinel-1-grd"]
        self.faults: dict[str, list] = defaultdict(list)
        """By path: what to do with the next requests, ``503`` and the like, ``slow``, or None for well."""
        self.requests: Counter = Counter()
        self.sent: Counter = Counter()
        self.token = ""
        """When set, files are given to those only who bring it."""
        world = self

        class Handler(_Handler):
            world = self

        self.server = Server(("127.0.0.1", 0), Handler)
        while self.server.server_port in PORTS:
            self.server.server_close()
            self.server = Server(("127.0.0.1", 0), Handler)
        PORTS.add(self.server.server_port)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        world.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def s2(self, name, when, zone=31, scl=4, dn=None, names="own", baseline="02.14", lacks=(), **properties):
        """An image of Sentinel-2; ``dn`` (lon, lat) -> digital numbers, of all bands."""
        dn = dn or (lambda lon, lat: 1000 + 4000 * ground(lon, lat))
        assets, written = {}, {}
        for band in ES_NAMES:
            size_m = 10 if band in FINE else 20
            kind = "SCL" if band == "SCL" else size_m
            file = f"{name}_{band}.tif"
            if kind in written:
                shutil.copyfile(self.folder / written[kind], self.folder / file)
            else:
                values = scl if kind == "SCL" else np.round(dn(*self._lonlat(zone, size_m)))
                self._write(file, zone, size_m, values, "uint8" if kind == "SCL" else "uint16", 0)
                written[kind] = file
            if band not in lacks:
                native = {
                    "own": band, "common": ES_NAMES[band], "resolution": f"{band}_{size_m}m",
                    "small": band.lower(), "upper": ES_NAMES[band].upper(), "short": band.replace("B0", "B"),
                }  # fmt: skip
                assets[native[names]] = file
        properties = {"s2:processing_baseline": baseline, "platform": "sentinel-2a", **properties}
        return self._item(name, "sentinel-2-l2a", when, assets, {"s2:mgrs_tile": f"{zone}ABC", **properties})

    def of_planetary_computer(self, name, when, baseline="05.10", dn=None) -> dict:
        """An image as the Planetary Computer lists it: bands by their own names, offsets left in."""
        product = f"S2A_MSIL2A_20200601T104021_N{baseline.replace('.', '')}_R008_T31ABC_20200601T140000"
        item = self.s2(name, when, baseline=baseline, dn=dn)
        item["properties"] |= {
            "s2:product_uri": f"{product}.SAFE", "platform": "Sentinel-2A", "instruments": ["msi"],
            "s2:datatake_id": f"GS2A_20200601T104021_025820_N{baseline}", "sat:relative_orbit": 8,
        }  # fmt: skip
        item["assets"] |= {"AOT": _asset(f"{self.url}/none.tif"), "visual": _asset(f"{self.url}/none.tif")}
        return item

    def of_earth_search(self, name, when, baseline="05.10", dn=None, removed=True) -> dict:
        """An image as Earth Search v1 lists it: common names, JPEG 2000 twins on S3, a flag for the offset."""
        item = self.s2(name, when, names="common", baseline=baseline, dn=dn)
        del item["properties"]["s2:mgrs_tile"]
        item["properties"] |= {
            "grid:code": "MGRS-31ABC", "mgrs:utm_zone": 31, "mgrs:latitude_band": "A", "mgrs:grid_square": "BC",
            "earthsearch:boa_offset_applied": removed, "processing:software": {"sentinel2-to-stac": "0.1.0"},
        }  # fmt: skip
        for asset in list(item["assets"].values()):
            # Listed whether or not the offset was taken off already.
            asset["raster:bands"] = [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]
        for band in list(item["assets"]):
            item["assets"][f"{band}-jp2"] = _asset(f"s3://sentinel-s2-l2a/tiles/31/A/BC/{band}.jp2")
        return item

    def of_copernicus_data_space(self, name, when, baseline="05.10", dn=None) -> dict:
        """An image as the Copernicus Data Space lists it: each resolution an asset, the baseline as a version."""
        product = f"S2A_MSIL2A_20200601T104021_N{baseline.replace('.', '')}_R008_T31ABC_20200601T140000"
        item = self.s2(name, when, names="resolution", dn=dn)
        for key in ("s2:mgrs_tile", "s2:processing_baseline"):
            del item["properties"][key]
        item["id"] = f"{product}_{name}"
        item["properties"] |= {
            "grid:code": "MGRS-31ABC", "processing:version": baseline, "processing:level": "L2",
            "product:type": "S2MSI2A",
        }  # fmt: skip
        for asset in item["assets"].values():
            asset |= {"raster:scale": 0.0001, "raster:offset": -0.1, "nodata": 0}
        coarse = [f"{band}_{size}m" for band in ("B02", "B8A") for size in (20, 60)]
        item["assets"] |= {key: _asset(f"{self.url}/none.jp2") for key in coarse if key not in item["assets"]}
        return item

    def of_earth_search_v0(self, name, when, baseline="02.14", dn=None, removed=None) -> dict:
        """An image as Earth Search v0 listed it: a collection of another name, ``sentinel:`` properties."""
        product = f"S2A_MSIL2A_20200601T104021_N{baseline.replace('.', '')}_R008_T31ABC_20200601T140000"
        item = self.s2(name, when, dn=dn)
        item["collection"] = "sentinel-s2-l2a-cogs"
        item["properties"] = {
            "datetime": item["properties"]["datetime"], "platform": "sentinel-2a", "gsd": 10, "proj:epsg": 32631,
            "sentinel:utm_zone": 31, "sentinel:latitude_band": "A", "sentinel:grid_square": "BC",
            "sentinel:product_id": product, "sentinel:sequence": "0", "sentinel:data_coverage": 100,
        }  # fmt: skip
        if removed is not None:
            item["properties"]["sentinel:boa_offset_applied"] = removed
        item["assets"] |= {
            "thumbnail": {"href": f"{self.url}/none.jpg", "type": "image/png", "roles": ["thumbnail"]},
            "overview": {
                "href": f"{self.url}/none.tif", "type": "image/tiff", "roles": ["overview"],
                "eo:bands": [{"name": name} for name in ("B04", "B03", "B02")],
            },
        }  # fmt: skip
        return item

    def described(self, name, when, version, baseline="05.10", dn=None) -> dict:
        """An image whose assets have numbers for names; the bands stand in ``eo:bands``, or in STAC 1.1's ``bands``."""
        item = self.s2(name, when, baseline=baseline, dn=dn)
        assets = {}
        for number, (band, asset) in enumerate(item["assets"].items()):
            # B05, B06 and B07 share a common name, which tells none of them
            common = "rededge" if band in ("B05", "B06", "B07") else ES_NAMES[band]
            key = "bands" if version == "1.1.0" else "eo:bands"
            common_key = "eo:common_name" if version == "1.1.0" else "common_name"
            asset[key] = [{"name": band, common_key: common}]
            assets[f"image_{number}"] = asset
        coarse = _asset(f"{self.url}/none.jp2") | {
            "gsd": 60,
            "eo:bands": [{"name": "B04"}],
            "bands": [{"name": "B04"}],
        }
        quicklook = _asset(f"{self.url}/none.png") | {"roles": ["thumbnail"], "eo:bands": [{"name": "B04"}]}
        item["assets"] = {"coarse": coarse, "quicklook": quicklook, **assets}
        item["stac_version"] = version
        return item

    def s1(self, name, when, power=(0.1, 0.02), orbit="ascending", **properties):
        """A terrain-corrected image of Sentinel-1, linear power."""
        assets = {}
        for band, value in zip(("vv", "vh"), power, strict=True):
            assets[band] = f"{name}_{band}.tif"
            self._write(assets[band], 31, 10, value, "float32", -32768)
        properties = {"sat:orbit_state": orbit, "sar:instrument_mode": "IW", **properties}
        return self._item(name, "sentinel-1-rtc", when, assets, properties)

    def grd(self, name, when, dn, gain):
        """A ground range image: rows along a track 13 degrees off north, tie points, a table of gains (row, col)."""
        turn, px, side = np.radians(193), 10.0, 160
        middle = np.array(self.grid(31).xy(LON, LAT))
        across, along = np.array([np.cos(turn), -np.sin(turn)]), np.array([np.sin(turn), np.cos(turn)])

        def place(row, col):
            x, y = (
                middle[i] + (np.asarray(col) - side / 2) * px * across[i]
                + (np.asarray(row) - side / 2) * px * along[i]
                for i in (0, 1)
            )  # fmt: skip
            return self.grid(31).lonlat(x, y)

        ties = [(row, col) for row in np.linspace(0, side, 7) for col in np.linspace(0, side, 9)]
        gcps = [GroundControlPoint(row, col, *place(row, col), 0.0) for row, col in ties]
        rows, cols = np.mgrid[:side, :side]
        values = np.round(dn(*place(rows + 0.5, cols + 0.5))).astype("uint16")
        assets = {}
        for band in ("vv", "vh"):
            assets[band] = f"{name}_{band}.tif"
            with rasterio.open(
                self.folder / assets[band], "w", driver="GTiff", width=side, height=side, count=1, dtype="uint16",
                tiled=True, blockxsize=BLOCK_PX, blockysize=BLOCK_PX, gcps=gcps, crs="EPSG:4326",
            ) as file:  # fmt: skip
                file.write(values, 1)
            assets[f"schema-calibration-{band}"] = f"{name}_{band}.xml"
            pixels = np.arange(0, side + 40, 40)
            vectors = "".join(
                f"<calibrationVector><line>{line}</line>"
                f'<pixel count="{pixels.size}">{" ".join(map(str, pixels))}</pixel>'
                f"<sigmaNought>{' '.join(str(gain(line, pixel)) for pixel in pixels)}</sigmaNought></calibrationVector>"
                for line in range(-40, side + 80, 80)
            )
            text = f"<calibration><calibrationVectorList>{vectors}</calibrationVectorList></calibration>"
            (self.folder / f"{name}_{band}.xml").write_text(text)
        properties = {"sat:orbit_state": "descending", "sar:instrument_mode": "IW"}
        return self._item(name, "sentinel-1-grd", when, assets, properties)

    def weather(self, query) -> dict:
        """As NASA POWER answers: the sun shines the more the later in the year, the last day is not known yet."""
        days = np.arange(*(_day(query[key]) + more for key, more in (("start", 0), ("end", 1))))
        names = {day: str(day).replace("-", "") for day in days}
        values = {
            "ALLSKY_SFC_SW_DWN": lambda day: 8.64 * (day - day.astype("M8[Y]")).astype(int) / 100,
            "T2M": lambda day: 12.0,
            "T2M_MAX": lambda day: 20.0,
            "T2M_MIN": lambda day: 4.0,
            "T2MDEW": lambda day: 3.0,
            "PRECTOTCORR": lambda day: 1.5,
        }
        assert set(query["parameters"].split(",")) == set(values)
        assert (query["time-standard"], query["community"]) == ("UTC", "AG")
        units = {"ALLSKY_SFC_SW_DWN": "MJ/m^2/day", "PRECTOTCORR": "mm/day"}
        return {
            "header": {"fill_value": -999.0},
            "properties": {
                "parameter": {
                    name: {names[day]: -999.0 if day == days[-1] else float(value(day)) for day in days}
                    for name, value in values.items()
                }
            },
            "parameters": {name: {"units": units.get(name, "C")} for name in values},
        }

    @staticmethod
    def grid(zone: int, size_m: int = 10) -> Grid:
        """Of the tile of a zone."""
        x, y = Grid(f"EPSG:326{zone}", 0, 0, 10, 1, 1).xy(LON, LAT)
        left, top = round((x - HALF_M) / 20) * 20, round((y + HALF_M) / 20) * 20
        return Grid(f"EPSG:326{zone}", left, top, size_m, 2 * HALF_M // size_m, 2 * HALF_M // size_m)

    def _lonlat(self, zone: int, size_m: int):
        grid = self.grid(zone, size_m)
        return grid.lonlat(*np.meshgrid(grid.x, grid.y))

    def _write(self, name, zone, size_m, values, dtype, nodata) -> None:
        grid = self.grid(zone, size_m)
        where = {"crs": grid.crs, "transform": Affine(size_m, 0, grid.left_m, 0, -size_m, grid.top_m)}
        with rasterio.open(
            self.folder / name, "w", driver="COG", width=grid.nx, height=grid.ny, count=1, dtype=dtype,
            nodata=nodata, blocksize=BLOCK_PX, **where,
        ) as file:  # fmt: skip
            file.write(np.broadcast_to(values, grid.shape).astype(dtype), 1)

    def _item(self, name, collection, when, assets, properties) -> dict:
        west, south, east, north = self.grid(31).lonlat_extent()
        corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "collection": collection,
            "geometry": {"type": "Polygon", "coordinates": [corners]},
            "bbox": [west, south, east, north],
            "properties": {"datetime": f"{when}Z", **properties},
            "links": [],
            "assets": {
                key: {
                    "href": f"{self.url}/store/{file}",
                    "type": "image/tiff; application=geotiff",
                    "roles": ["data"],
                }
                for key, file in assets.items()
            },
        }
        self.items.append(item)
        return item


def _asset(href: str) -> dict:
    return {"href": href, "type": "image/jp2", "roles": ["data"]}


def _day(text: str) -> np.datetime64:
    return np.datetime64(datetime.strptime(text, "%Y%m%d"), "D")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: World

    def log_message(self, *_) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(json.loads(body))

    def _answer(self, body: dict | None = None) -> None:
        world, parts = self.world, urlsplit(self.path)
        world.requests[parts.path] += 1
        faults = world.faults[parts.path]
        fault = faults.pop(0) if faults else None
        if isinstance(fault, int):
            return self._send(fault, b"")
        if fault == "slow":
            time.sleep(3.0)
        query = {key: value[0] for key, value in parse_qs(parts.query).items()}
        if parts.path.startswith("/store/"):
            if world.token and parts.query != world.token:
                return self._send(403, b"")
            return self._file(world.folder / parts.path.removeprefix("/store/"))
        if parts.path.startswith("/token/"):
            content = {"msft:expiry": "2999-01-01T00:00:00Z", "token": world.token}
            if self.headers.get("Ocp-Apim-Subscription-Key") == "nobody":
                return self._send(403, b"")
            return self._json(content)
        if parts.path == "/power":
            return self._json(world.weather(query))
        if parts.path == "/search":
            return self._json(self._page(body or query))
        if parts.path == "/":
            return self._json(self._landing())
        self._send(404, b"{}")

    def _landing(self) -> dict:
        url = self.world.url
        core = "https://api.stacspec.org/v1.0.0"
        links = [
            {"rel": "self", "href": url, "type": "application/json"},
            {"rel": "root", "href": url, "type": "application/json"},
            {"rel": "search", "href": f"{url}/search", "type": "application/geo+json", "method": "POST"},
        ]
        conforms = [f"{core}/core", f"{core}/item-search"]
        return {
            "type": "Catalog", "id": "here", "stac_version": "1.0.0", "description": "here", "links": links,
            "conformsTo": conforms,
        }  # fmt: skip

    def _page(self, query: dict) -> dict:
        start, end = (datetime.fromisoformat(text) for text in query["datetime"].split("/"))
        west, south, east, north = query["bbox"]
        found = [
            item
            for item in self.world.items
            if item["collection"] in query["collections"]
            and start <= datetime.fromisoformat(item["properties"]["datetime"]) <= end
            and item["bbox"][0] <= east and item["bbox"][2] >= west
            and item["bbox"][1] <= north and item["bbox"][3] >= south
        ]  # fmt: skip
        first = int(query.get("token", 0))
        size = min(int(query.get("limit", 10)), self.world.page)
        links = []
        if first + size < len(found):
            more = {**query, "token": first + size}
            links = [{"rel": "next", "href": f"{self.world.url}/search", "method": "POST", "body": more}]
        return {"type": "FeatureCollection", "features": found[first : first + size], "links": links}

    def _file(self, path: Path) -> None:
        if not path.is_file():
            return self._send(404, b"")
        data = path.read_bytes()
        wanted = self.headers.get("Range")
        if wanted is None:
            return self._send(200, data)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        if int(first) >= len(data):
            return self._send(416, b"")
        part = data[int(first) : int(last or len(data)) + 1]
        content_range = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
        self._send(206, part, {"Content-Range": content_range})

    def _json(self, content: dict) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, code: int, data: bytes, headers: dict | None = None) -> None:
        try:
            self.send_response(code)
            for name, value in {
                "Content-Length": len(data),
                "Accept-Ranges": "bytes",
                **(headers or {}),
            }.items():
                self.send_header(name, str(value))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
                self.world.sent[urlsplit(self.path).path] += len(data)
        except OSError:
            self.close_connection = True  # they did not wait for us
