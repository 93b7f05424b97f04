"""Which asset of a STAC item holds a band, and what its assets say of their numbers, whoever provides the item."""

from __future__ import annotations

import re
from typing import Any

from fluxlens.embeddings.readers.band_names import find_bands
from fluxlens.embeddings.scenes import schema

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
"""Common names of the bands, under which Earth Search lists its assets; others use the band's own name."""
NATIVE_RESOLUTION_M = {
    **dict.fromkeys(schema.S2_BANDS_10M, 10),
    **dict.fromkeys(schema.S2_BANDS_20M, 20),
    "SCL": 20,
}
"""The Copernicus Data Space lists every resolution of a band as an asset of its own (``B02_10m``, ``B02_20m``)."""
NOT_DATA = {"thumbnail", "overview", "visual", "metadata", "calibration", "noise"}
"""Roles of assets that carry a band's name and are not its values."""
AMBIGUOUS = ("rededge", "rededge705", "swir")
"""Common names that several bands share: the ``eo`` extension calls B05, B06 and B07 all ``rededge``."""
LAND_MODE = "IW"
"""Mode of Sentinel-1 over land; EW, SM and WV have other pixels and angles."""


def asset(item: Any, band: str) -> str | None:
    """Name of the asset that holds a band.

    Parameters
    ----------
    item : pystac.Item
        An image of Sentinel-2 or Sentinel-1, of any provider.
    band : str
        ``B02`` ... ``B12``, ``SCL``, ``VV`` or ``VH``.

    Returns
    -------
    str or None
        In this order: the band's own name, its common name, its name with the native resolution; the same in any
        spelling (``b04``, ``B4``, ``B04_10m``); the asset whose only band (``eo:bands``, ``bands`` of STAC 1.1,
        ``sar:polarizations``) has such a name. None where the item has none of them.
    """
    names = [band, ASSETS[band]]
    # Of several resolutions the native one: a 20 m band at 10 m is the same numbers four times.
    if band in NATIVE_RESOLUTION_M:
        names.append(f"{band}_{NATIVE_RESOLUTION_M[band]}m")
    exact = next((name for name in names if name in item.assets), None)
    if exact is not None:
        return exact
    key = "mask:scl" if band == "SCL" else band
    # A "visual" or an overview may have a band in its name or description.
    data = {name: one for name, one in item.assets.items() if not NOT_DATA & set(one.roles or ())}
    spelled = find_bands(data).get(key)
    if spelled is not None:
        return spelled
    described = [name for name, one in data.items() if key in _bands_described(one)]
    # Cloud-optimised files before JPEG 2000, which must be read in large parts; then the finest pixels.
    return min(
        described, key=lambda name: ("jp2" in str(data[name].media_type), _gsd_m(data[name])), default=None
    )


def _bands_described(one: Any) -> set[str]:
    """Contract names of the only band of an asset; empty where it describes none or several."""
    fields = one.extra_fields
    bands = fields.get("bands") or fields.get("eo:bands") or []
    if len(bands) > 1:
        return set()  # a stack of bands would have to be read by position
    names = [band.get("name") for band in bands]
    if not find_bands(filter(None, names)):
        common = [band.get("eo:common_name") or band.get("common_name") for band in bands]
        # A common name only where the band's own name says nothing.
        names = [name for name in common if name not in AMBIGUOUS]
    polarizations = fields.get("sar:polarizations") or []
    if len(polarizations) == 1:
        names += polarizations
    return set(find_bands(filter(None, names)))


def _gsd_m(one: Any) -> float:
    """Pixel size that an asset tells, m; 0 where it tells none."""
    fields = one.extra_fields
    raster = (fields.get("raster:bands") or fields.get("bands") or [{}])[0]
    size = (
        fields.get("gsd")
        or fields.get("raster:spatial_resolution")
        or raster.get("spatial_resolution")
        or raster.get("raster:spatial_resolution")
    )
    return float(size or 0)


def stated_offset(item: Any) -> float | None:
    """Offset of reflectance that the assets of a Sentinel-2 item state (``raster`` extension).

    Parameters
    ----------
    item : pystac.Item
        An image of Sentinel-2, Level-2A.

    Returns
    -------
    float or None
        Reflectance, such as -0.1; None where the red band's asset states none.
    """
    name = asset(item, "B04")
    if name is None:
        return None
    fields = item.assets[name].extra_fields
    # raster extension 1 (a list of bands), 2 (on the asset), and STAC 1.1 (common list of bands)
    for facts, key in (
        ((fields.get("raster:bands") or [{}])[0], "offset"),
        (fields, "raster:offset"),
        ((fields.get("bands") or [{}])[0], "raster:offset"),
    ):
        if isinstance(facts.get(key), int | float):
            return float(facts[key])
    return None


def radar_fault(item: Any) -> str | None:
    """Why an image of Sentinel-1 cannot be used.

    Parameters
    ----------
    item : pystac.Item
        An image of Sentinel-1.

    Returns
    -------
    str or None
        Without VV and VH, or in another mode than the one over land; None where it can be used.
    """
    named = re.match(r"S1[A-D]_(IW|EW|WV|S\d)_", str(item.id))
    # The id is ESA's product name, which carries the mode where the property is missing.
    mode = str(item.properties.get("sar:instrument_mode") or (named[1] if named else LAND_MODE))
    if mode.upper() != LAND_MODE:
        return f"its mode is {mode}, not {LAND_MODE}"
    missing = [band for band in schema.S1_BANDS if asset(item, band) is None]
    return f"it has no {' and no '.join(missing)}" if missing else None


def calibration(item: Any, band: str) -> str | None:
    """Name of the asset with the calibration of a polarisation of a ground range image.

    Parameters
    ----------
    item : pystac.Item
        An image of Sentinel-1.
    band : str
        ``VV`` or ``VH``.

    Returns
    -------
    str or None
        ``schema-calibration-vv``, ``calibration-iw-vv`` and the like; None where there is none.
    """
    # Earth Search and the Planetary Computer name the same file differently.
    names = (name for name in item.assets if re.search(rf"calibration.*[-_]{band}$", name, re.I))
    return next(names, None)


def is_ground_range(item: Any) -> bool:
    """Whether an image of Sentinel-1 is a ground range image (GRD), neither calibrated nor on a map.

    Parameters
    ----------
    item : pystac.Item
        An image of Sentinel-1.

    Returns
    -------
    bool
        By its assets, else by its product type, else by its collection.
    """
    if any(calibration(item, band) for band in schema.S1_BANDS):
        return True
    kind = item.properties.get("product:type") or item.properties.get("sar:product_type")
    # Terrain-corrected products are made of GRD and keep its name as their product type.
    return "grd" in str(item.collection_id).lower() and "GRD" in str(kind or "GRD").upper()
