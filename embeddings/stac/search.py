"""Search of a STAC API: items of a request, grouped into passes, which become one date of a sensor each.

The file is long for the properties and names by which providers tell how an image was processed.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from fluxlens.embeddings.readers.baselines import OFFSET_BASELINE, OFFSET_SINCE, baseline_of_product
from fluxlens.embeddings.scenes import schema
from fluxlens.embeddings.stac import access
from fluxlens.embeddings.stac.assets import radar_fault, stated_offset
from fluxlens.embeddings.stac.request import S1_PRODUCTS, Request
from fluxlens.models.errors import DataWarning, InputError

S2_COLLECTIONS = ("sentinel-2-l2a", "sentinel-s2-l2a-cogs", "sentinel-2-c1-l2a")
"""Planetary Computer, Copernicus Data Space, Earth Search v1; Earth Search v0; Collection 1. The first with images."""
BOA_OFFSET_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
"""Properties that say that the offset of baseline 04.00 was taken off already: Earth Search v1, and v0 before it."""
BASELINE_PROPERTIES = ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline")
"""Planetary Computer and Earth Search v1; Copernicus Data Space; Earth Search v0."""
PRODUCT_NAMES = ("s2:product_uri", "sentinel:product_id", "title")
"""Properties that may hold the product's name, beside the id of the item."""
PROCESSED_PROPERTIES = ("s2:generation_time", "processing:datetime")
"""When a product was made: Planetary Computer and Earth Search v1; Copernicus Data Space. Else its names tell."""
DATASTRIP_PROPERTIES = ("s2:datastrip_id", "eopf:datastrip_id")
"""Names such as ``S2A_OPER_MSI_L2A_DS_VGS1_20200601T140112_S20200601T104024_N02.14``: made, and sensed from."""
SAME_FOOTPRINT = 0.95
"""Share of the union of two footprints that both cover, above which they are of one part of an image."""
SAME_IMAGE_S = 15 * 60
"""Seconds. Items of one tile and satellite closer than this are one image: processings differ by seconds, the next
orbit over the same place comes after about 100 minutes."""
NAMED = 5
"""Images left out that a warning names; the scene's attribute ``left_out`` has all."""
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
    """``ascending`` or ``descending``; empty where unknown, and for Sentinel-2."""
    items: tuple[Any, ...]
    """``pystac.Item``, at least one."""

    @property
    def name(self) -> str:
        """Good for a file and for people: ``sentinel-1-rtc_2020-06-01_ascending``."""
        product = str(self.items[0].collection_id)
        return "_".join(filter(None, (product, str(self.time)[:10], self.orbit)))


def passes(request: Request) -> list[Pass]:
    """Find all passes over a request; images that cannot be used are told in one warning.

    Parameters
    ----------
    request : Request
        Square, days, provider and radar product.

    Returns
    -------
    list of Pass
        In order of time, Sentinel-2 and Sentinel-1 together.

    Raises
    ------
    InputError
        Where the address is no STAC API, does not answer, or has no image.

    Warns
    -----
    DataWarning
        Images that are left out, with their count and the reason.
    """
    grouped, left_out = find_passes(request)
    if left_out:
        images = sum(len(one.items) for one in grouped) + len(left_out)
        warnings.warn(f"{describe_left_out(left_out, images)}.", DataWarning, stacklevel=2)
    return grouped


def find_passes(request: Request) -> tuple[list[Pass], list[str]]:
    """As ``passes``, with what is left out as a result instead of a warning.

    Parameters
    ----------
    request : Request
        As of ``passes``.

    Returns
    -------
    list of Pass
        As of ``passes``.
    left_out : list of str
        A sentence for each image that cannot be used: Sentinel-1 in another mode or without VV and VH, and of an image
        of Sentinel-2 that was processed more than once all but the newest, of one baseline the latest.
    """
    left_out: list[str] = []
    with _errors_in_one_sentence(request.url):
        from pystac_client import Client
        from pystac_client.stac_api_io import StacApiIO

        # The client's own session would neither retry nor time out.
        speak = StacApiIO(timeout=access.TIMEOUT_S, max_retries=access.retry_policy())
        client = Client.open(request.url, stac_io=speak, timeout=access.TIMEOUT_S)  # which it would reset
        images: list[Any] = []
        for collection in S2_COLLECTIONS:
            images = images or _items(client, request, collection)
        optical = _newest(images, left_out)
        # The better product first; the other only where a provider has none of it.
        radar: list[Any] = []
        for collection in S1_PRODUCTS[request.s1]:
            if radar:
                break
            for item in _items(client, request, collection):
                fault = radar_fault(item)
                if fault is None:
                    radar.append(item)
                else:
                    left_out.append(f"{item.id}: {fault}")
    # Grouped by sensor: a date of each becomes one image of its node.
    grouped = [*_grouped("s2", optical), *_grouped("s1", radar)]
    if not grouped:
        why = f"; {describe_left_out(left_out, len(left_out))}" if left_out else ""
        raise InputError(
            f"Got no image of {request.start} to {request.end} at {request.lon:g},{request.lat:g} from "
            f"{request.url}, need one at least; widen the days or ask another provider{why}."
        )
    return sorted(grouped, key=lambda one: one.time), left_out


def describe_left_out(left_out: list[str], images: int) -> str:
    """One clause for a warning.

    Parameters
    ----------
    left_out : list of str
        A sentence for each image left out, at least one.
    images : int
        Number of images of the request, these among them.

    Returns
    -------
    str
        Count, and the first ``NAMED`` of them.
    """
    names = "; ".join(left_out[:NAMED]) + ("; ..." if left_out[NAMED:] else "")
    return f"{len(left_out)} of {images} images left out: {names}"


def estimate(passes: Iterable[Pass], request: Request) -> tuple[int, int]:
    """Estimate a download before it starts.

    Parameters
    ----------
    passes : iterable of Pass
        As ``passes`` returns them.
    request : Request
        The square they are cut to.

    Returns
    -------
    (int, int)
        Bytes to fetch, roughly, and bytes of the scene's values; both before compression.
    """
    side = request.grid.nx
    fetched = stored = 0
    for one in passes:
        sizes = (
            [(side, 2)] * len(schema.S2_BANDS_10M)
            + [(side / 2, 2)] * len(schema.S2_BANDS_20M)
            + [(side / 2, 1)]
            if one.sensor == "s2"
            else [(side, 4)] * len(schema.S1_BANDS)
        )
        # A window lies across (side / block + 1) blocks on average, each way.
        # Whole blocks are read, so a small square costs nearly as much as a block.
        fetched += len(one.items) * sum(round((px + BLOCK_PX) ** 2 * width) for px, width in sizes)
        stored += side**2 * (2 * len(schema.S2_BANDS) + 1 if one.sensor == "s2" else len(schema.S1_BANDS))
    return fetched, stored


@contextmanager
def _errors_in_one_sentence(url: str) -> Iterator[None]:
    """Turn whatever goes wrong with an API into one InputError."""
    from pystac_client.exceptions import APIError

    try:
        yield
    except Exception as error:  # an address that is no STAC API makes its client fail in any way it can
        code = getattr(error, "status_code", None)
        why = f"code {code}" if code else type(error).__name__
        # A busy server is worth another try later; a wrong address is not.
        if isinstance(error, APIError) and (code is None or code in access.BUSY):
            raise access.no_answer_error(url, why) from error
        raise InputError(
            f"Got no STAC API at {url} ({why}), need one with search; check the address."
        ) from error


def _items(client: Any, request: Request, collection: str) -> list[Any]:
    """Every item of a collection over the request, all pages; none where the collection is unknown."""
    items: dict[str, Any] = {}
    for bbox in bounding_boxes(request):
        search = client.search(collections=[collection], bbox=bbox, datetime=request.days, limit=100)
        # An image across the antimeridian answers to the boxes of both sides.
        items |= {item.id: item for item in search.items()}
    return list(items.values())


def bounding_boxes(request: Request) -> list[tuple[float, float, float, float]]:
    """The extent of a request as boxes that APIs understand.

    Parameters
    ----------
    request : Request
        A square on the ground.

    Returns
    -------
    list of (west, south, east, north)
        Degrees. One box, or two where the square lies across 180 degrees of longitude: a single box from -180 to 180
        would ask for the whole parallel, and boxes with west > east are not read alike by all servers.
    """
    grid = request.grid
    edge_x = np.array([grid.left_m, grid.left_m + grid.nx * grid.size_m])
    edge_y = np.array([grid.top_m, grid.top_m - grid.ny * grid.size_m])
    lon, lat = grid.lonlat(*(axis.ravel() for axis in np.meshgrid(edge_x, edge_y)))
    # Longitudes of the corners as offsets from the middle, so that those beyond 180 do not jump to -180.
    lon = request.lon + (np.asarray(lon) - request.lon + 180) % 360 - 180
    west, east, south, north = (float(edge) for edge in (lon.min(), lon.max(), np.min(lat), np.max(lat)))
    # Across the antimeridian a single box would end west of where it begins, which APIs refuse or turn around.
    if west < -180:
        return [(west + 360, south, 180.0, north), (-180.0, south, east, north)]
    if east > 180:
        return [(west, south, 180.0, north), (-180.0, south, east - 360, north)]
    return [(west, south, east, north)]


def _newest(items: list[Any], left_out: list[str]) -> list[Any]:
    """Of images processed more than once the newest baseline, of one baseline the latest; two halves both stay."""
    images: list[list[Any]] = []
    latest: dict[tuple[str, str], np.datetime64] = {}
    for item in sorted(items, key=_time):
        source = _tile(item), _platform(item)
        # By distance in time, not by a clock hour: processings may lie on either side of a full hour.
        if source in latest and _time(item) - latest[source] <= np.timedelta64(SAME_IMAGE_S, "s"):
            next(same for same in reversed(images) if (_tile(same[0]), _platform(same[0])) == source).append(
                item
            )
        else:
            images.append([item])
        latest[source] = _time(item)
    unique = []
    for same in images:
        newest = max(same, key=lambda item: (baseline(item), _processed(item)))
        latest_items: list[Any] = []
        # The latest first, so that an earlier processing of a part meets the one that takes its place.
        for item in sorted(same, key=_processed, reverse=True):
            if baseline(item) < baseline(newest):
                left_out.append(f"{item.id}: {newest.id} is a newer processing of it")
                continue
            later = next((one for one in latest_items if _cover_the_same(item, one)), None)
            if later is None:
                latest_items.append(item)
            else:
                left_out.append(f"{item.id}: {later.id} is a later processing of it, with the same baseline")
        # In the order of the answer, on which the order of equal pixels depends.
        unique += [item for item in same if any(item is one for one in latest_items)]
    return unique


def _processed(item: Any) -> str:
    """When an image was processed, as digits that compare as text; empty where nothing tells."""
    for name in PROCESSED_PROPERTIES:
        # Fractions of a second have other lengths in other catalogs, and as text a longer one would count as later.
        digits = re.sub(r"\D", "", str(item.properties.get(name) or ""))[:14]
        if len(digits) == 14:
            return digits
    # The last of the times in a product's name.
    names = (re.search(r"_(\d{8}T\d{6})(?:\.SAFE)?$", name) for name in _product_names(item))
    stamps = [re.search(r"_DS_\w{4}_(\d{8}T\d{6})_S", _datastrip(item)), *names]
    return next((match[1].replace("T", "") for match in stamps if match), "")


def _datastrip(item: Any) -> str:
    """Name of the strip of data that an image is cut from; empty where not told."""
    return next(
        (str(item.properties[name]) for name in DATASTRIP_PROPERTIES if item.properties.get(name)), ""
    )


def _cover_the_same(item: Any, other: Any) -> bool:
    """Whether two items of one image and baseline are processings of one part of it, and not its two halves.

    Where a strip of data ends within a tile, two products hold a half each, and their names differ as those of two
    processings do: the strip's first second tells, else the footprints of products that were made on different days.
    """
    # Without two times nothing says which of the two is the later one: both stay.
    if not (_processed(item) and _processed(other)) or _processed(item) == _processed(other):
        return False
    sensed = [re.search(r"_S(\d{8}T\d{6})_", _datastrip(one)) for one in (item, other)]
    if all(sensed):
        return sensed[0][1] == sensed[1][1]
    if _processed(item)[:8] == _processed(other)[:8] or not (item.geometry and other.geometry):
        return False
    from shapely.geometry import shape

    ours, theirs = shape(item.geometry), shape(other.geometry)
    # Made on different days, two halves share at most a seam, two processings nearly everything.
    union = ours.union(theirs).area
    return union > 0 and ours.intersection(theirs).area / union > SAME_FOOTPRINT


def _product_names(item: Any) -> list[str]:
    """Names of the product: ``S2A_MSIL2A_20220127T105301_N0400_R051_T31UFS_20220127T141212``, where an item tells."""
    return [
        str(item.id),
        *(str(item.properties[name]) for name in PRODUCT_NAMES if item.properties.get(name)),
    ]


def _tile(item: Any) -> str:
    """MGRS tile such as ``31UFS``; the item's own id where it names none."""
    named = item.properties.get("s2:mgrs_tile") or item.properties.get("grid:code")
    if not named and item.properties.get("sentinel:grid_square"):
        keys = ("sentinel:utm_zone", "sentinel:latitude_band", "sentinel:grid_square")
        named = "".join(str(item.properties.get(key, "")) for key in keys)
    if not named:
        matches = (re.search(r"_T(\d{2}[A-Z]{3})_", f"{name}_") for name in _product_names(item))
        named = next((match[1] for match in matches if match), item.id)
    return str(named).upper().removeprefix("MGRS-").removeprefix("T")


def _platform(item: Any) -> str:
    """``S2A``, ``S2B``, ...; empty where not named."""
    named = str(item.properties.get("platform") or "").lower()
    match = re.fullmatch(r"(?:sentinel-|s)(2[a-z])", named)
    names = (re.match(r"S(2[A-Z])_", name) for name in _product_names(item))
    return f"S{match[1].upper()}" if match else next((f"S{name[1]}" for name in names if name), named)


def baseline(item: Any) -> float:
    """Processing baseline of a Sentinel-2 image.

    Parameters
    ----------
    item : pystac.Item
        An image of Sentinel-2, Level-2A.

    Returns
    -------
    float
        Such as 5.1 for 05.10: from its properties, else from the product's name (``_N0510_``), else by the date on
        which ESA began to process with 04.00, since reprocessed archives without a baseline are not known.
    """
    stated = _stated_baseline(item)
    if stated is not None:
        return stated
    return OFFSET_BASELINE if _time(item) >= OFFSET_SINCE else OFFSET_BASELINE - 1


def _stated_baseline(item: Any) -> float | None:
    """The baseline that properties or names tell."""
    for name in BASELINE_PROPERTIES:
        try:
            return float(item.properties[name])
        except (KeyError, TypeError, ValueError):
            continue  # processing:version may hold a software's version of another form
    for name in _product_names(item):
        in_name = baseline_of_product(f"{name}_")
        if np.isfinite(in_name):
            return in_name
    return None


def has_offset(item: Any) -> bool:
    """Whether the digital numbers of a Sentinel-2 image carry the offset of baseline 04.00.

    Parameters
    ----------
    item : pystac.Item
        An image of Sentinel-2, Level-2A.

    Returns
    -------
    bool
        False for older baselines, and where the provider says that it has taken the offset off. Where no baseline is
        told, what the assets state (``raster:bands``); where they state nothing, by the date.
    """
    # Some catalogs write the flag as text.
    if any(str(item.properties.get(name)).lower() == "true" for name in BOA_OFFSET_APPLIED):
        return False
    # The baseline before the assets: Earth Search v1 states -0.1 there also for images without the offset.
    offset = stated_offset(item)
    if _stated_baseline(item) is None and offset is not None:
        return offset != 0
    return baseline(item) >= OFFSET_BASELINE


def _grouped(sensor: str, items: list[Any]) -> list[Pass]:
    """Items of one UTC day and direction of flight as one pass each."""
    groups: dict[tuple[np.datetime64, str], list[Any]] = defaultdict(list)
    for item in items:
        # Sentinel-2 images land on the descending side alone; Sentinel-1 may pass both ways on one day, from two sides.
        orbit = str(item.properties.get("sat:orbit_state", "")).lower() if sensor == "s1" else ""
        # Slices of one pass follow each other within a minute and share the UTC day.
        groups[np.datetime64(_time(item), "D"), orbit if orbit in schema.ORBITS else ""].append(item)
    days = [day for day, _ in groups]
    out = []
    for (day, orbit), images in groups.items():
        images = sorted(images, key=lambda item: (_time(item), item.id))
        # Midnight, unless two passes share the day: then the time of day keeps them apart.
        time = day if days.count(day) == 1 else _time(images[0])
        out.append(Pass(sensor, time.astype("datetime64[ns]"), orbit, tuple(images)))
    return out


def _time(item: Any) -> np.datetime64:
    """UTC, to the second."""
    when = item.datetime or item.common_metadata.start_datetime
    return np.datetime64(int(when.timestamp()), "s")
