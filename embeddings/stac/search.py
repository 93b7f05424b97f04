"""What a STAC API has of a request, sorted into passes: the images that become one date of a sensor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from embeddings import schema
from embeddings.stac import access
from embeddings.stac.request import S1_PRODUCTS, Request
from models.errors import InputError

S2_COLLECTION = "sentinel-2-l2a"
ASSETS = {
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
    "VV": "vv",
    "VH": "vh",
}
"""Names of assets: some providers use the band's own, others these."""
BLOCK_PX = 512
"""Cloud-optimised files are read in whole blocks, mostly of this side."""


@dataclass(frozen=True)
class Pass:
    """The images of one sensor on one UTC day, of Sentinel-1 in one direction of flight."""

    sensor: str
    """Node of the scene: ``s2`` or ``s1``."""
    time: np.datetime64
    """The day; its time of day too where an ascending and a descending pass share it."""
    orbit: str
    """``ascending`` or ``descending``; empty where not told, and for Sentinel-2."""
    items: tuple[Any, ...]
    """``pystac.Item``, at least one."""

    @property
    def name(self) -> str:
        """Good for a file and for people: ``sentinel-1-rtc_2020-06-01_ascending``."""
        product = str(self.items[0].collection_id)
        return "_".join(filter(None, (product, str(self.time)[:10], self.orbit)))


def passes(request: Request) -> list[Pass]:
    """All passes over the request, in order of time."""
    with _answering(request.url):
        from pystac_client import Client
        from pystac_client.stac_api_io import StacApiIO

        speak = StacApiIO(timeout=access.TIMEOUT_S, max_retries=access.retry())
        client = Client.open(request.url, stac_io=speak, timeout=access.TIMEOUT_S)  # which it would reset
        optical = _newest(_items(client, request, S2_COLLECTION))
        radar: list[Any] = []
        for collection in S1_PRODUCTS[request.s1]:
            radar = radar or [item for item in _items(client, request, collection) if _dual_land(item)]
    found = [*_grouped("s2", optical), *_grouped("s1", radar)]
    if not found:
        raise InputError(
            f"Got no image of {request.start} to {request.end} at {request.lon:g},{request.lat:g} from "
            f"{request.url}, need one at least; widen the days or ask another provider."
        )
    return sorted(found, key=lambda one: one.time)


def asset(item: Any, band: str) -> str | None:
    """Name of the item's asset that holds a band, None where there is none."""
    return next((name for name in (band, ASSETS[band]) if name in item.assets), None)


def estimate(found: Iterable[Pass], request: Request) -> tuple[int, int]:
    """Bytes to fetch, roughly and before compression, and bytes of the values of the scene, before it too."""
    side = request.grid.nx
    fetched = stored = 0
    for one in found:
        sizes = (
            [(side, 2)] * len(schema.S2_BANDS_10M)
            + [(side / 2, 2)] * len(schema.S2_BANDS_20M)
            + [(side / 2, 1)]
            if one.sensor == "s2"
            else [(side, 4)] * len(schema.S1_BANDS)
        )
        # A window lies across (side / block + 1) blocks on average, each way.
        fetched += len(one.items) * sum(round((px + BLOCK_PX) ** 2 * width) for px, width in sizes)
        stored += side**2 * (2 * len(schema.S2_BANDS) + 1 if one.sensor == "s2" else len(schema.S1_BANDS))
    return fetched, stored


@contextmanager
def _answering(url: str) -> Iterator[None]:
    """Whatever goes wrong with an API, told in one sentence."""
    from pystac_client.exceptions import APIError

    try:
        yield
    except Exception as error:  # an address that is no STAC API makes its client fail in any way it can
        code = getattr(error, "status_code", None)
        why = f"code {code}" if code else type(error).__name__
        if isinstance(error, APIError) and (code is None or code in access.BUSY):
            raise access.silent(url, why) from error
        raise InputError(
            f"Got no STAC API at {url} ({why}), need one with search; check the address."
        ) from error


def _items(client: Any, request: Request, collection: str) -> list[Any]:
    """Every item of a collection over the request, all pages; none where the collection is unknown."""
    search = client.search(
        collections=[collection], bbox=request.grid.lonlat_extent(), datetime=request.days, limit=100
    )
    return list(search.items())


def _newest(items: list[Any]) -> list[Any]:
    """Of images processed more than once the newest baseline; two halves of an image share theirs, both stay."""
    images: dict[tuple, list[Any]] = defaultdict(list)
    for item in items:
        told = item.properties
        tile = told.get("s2:mgrs_tile") or told.get("grid:code") or item.id
        images[tile, told.get("platform"), np.datetime64(_time(item), "h")].append(item)
    return [item for same in images.values() for item in same if baseline(item) == max(map(baseline, same))]


def baseline(item: Any) -> float:
    """Processing baseline of Sentinel-2; where not told, by the date on which 04.00 began."""
    told = item.properties.get("s2:processing_baseline") or item.properties.get("processing:version")
    try:
        return float(told)
    except (TypeError, ValueError):
        return 4.0 if _time(item) >= np.datetime64("2022-01-25") else 3.0


def _dual_land(item: Any) -> bool:
    """Whether it is an image of VV and more in the mode used over land."""
    return asset(item, "VV") is not None and item.properties.get("sar:instrument_mode", "IW") == "IW"


def _grouped(sensor: str, items: list[Any]) -> list[Pass]:
    groups: dict[tuple[np.datetime64, str], list[Any]] = defaultdict(list)
    for item in items:
        orbit = str(item.properties.get("sat:orbit_state", "")).lower() if sensor == "s1" else ""
        groups[np.datetime64(_time(item), "D"), orbit if orbit in schema.ORBITS else ""].append(item)
    days = [day for day, _ in groups]
    out = []
    for (day, orbit), images in groups.items():
        images = sorted(images, key=lambda item: (_time(item), item.id))
        time = day if days.count(day) == 1 else _time(images[0])
        out.append(Pass(sensor, time.astype("datetime64[ns]"), orbit, tuple(images)))
    return out


def _time(item: Any) -> np.datetime64:
    """UTC, to the second."""
    when = item.datetime or item.common_metadata.start_datetime
    return np.datetime64(int(when.timestamp()), "s")
