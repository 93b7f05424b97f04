"""Flux tower files of the FLUXNET family as daily series of GPP, its quality and the weather at the tower.

Read are ``FLX_...``, ``AMF_...`` and ``ICOSETC_...`` files (Pastorello et al. 2020, Scientific Data 7:225),
plain or zipped, columns in any order, -9999 as missing. GPP is partitioned from net exchange in two ways: by
night-time respiration (``gpp_nt``, Reichstein et al. 2005) and by the light response of day-time exchange
(``gpp_dt``, Lasslop et al. 2010); their difference is a structural uncertainty. Small negative night-time
values are kept. Days are days of local standard time, as in the files.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from embeddings import schema
from models.errors import InputError

GC_PER_UMOL = 1.0377
"""gC m-2 d-1 of 1 umol CO2 m-2 s-1: 86400 s x 12.011 g mol-1 x 1e-6."""

HOURS_AT_LEAST = 12
"""A day of half-hourly data needs this many valid hours; with fewer it is missing."""

MISSING = -9990.0
"""Values at or below are missing: the files write -9999, sometimes with decimals."""

RESOLUTIONS = {"HH": "half-hourly", "HR": "hourly", "DD": "daily", "WW": "weekly", "MM": "monthly"}
PERCENTILES = ("05", "16", "25", "50", "75", "84", "95")
WEATHER = {"sw_in": "SW_IN", "tair": "TA", "vpd": "VPD", "precip": "P"}
TURBULENCE = {
    "wind": ("WS_F", "WS"),
    "direction": ("WD", "WD_F"),
    "ustar": ("USTAR", "USTAR_F"),
    "heat": ("H_F_MDS", "H"),
    "tair": ("TA_F", "TA"),
    "pressure": ("PA_F", "PA"),
    "sigma_v": ("V_SIGMA",),
}
OPTIONAL = ("pressure", "sigma_v")
SEA_LEVEL_KPA = 101.325
NETWORKS = {"FLX": "FLUXNET", "AMF": "AmeriFlux", "ICOSETC": "ICOS"}
SITE = re.compile(r"(?<![A-Za-z])([A-Z]{2}-[A-Za-z0-9]{3})(?![A-Za-z0-9])")


def read(path: str | Path, sites: pd.DataFrame | None = None) -> xr.Dataset:
    """The tower series of one file; hours are averaged to days, weeks and months kept as they are.

    ``gpp_nt``, ``gpp_dt`` and their percentiles (``gpp_nt_05`` ... ``gpp_dt_95``, where there are any) in
    gC m-2 d-1; ``qc`` 0-1, the share of measured or well filled net exchange; ``sw_in`` W m-2, ``tair`` degC,
    ``vpd`` hPa and ``precip`` mm d-1, gap-filled. ``sites`` (of ``sites()``) adds lon, lat, igbp.
    """
    path = Path(path).expanduser()
    name, content = _open(path)
    table = _Table(name, content)
    resolution = _resolution(name, table)
    threshold = _threshold(name, table)
    columns = {ours: theirs for ours, theirs in _columns(threshold).items() if theirs in table.header}
    frame = table.read(list(columns.values()))[list(columns.values())].set_axis(list(columns), axis=1)
    if resolution in ("HH", "HR"):
        frame = _daily(frame, steps=48 if resolution == "HH" else 24)
    if resolution in ("HH", "HR", "DD"):
        frame = frame.asfreq("D")
    tower = frame.to_xarray()
    for ours in tower.data_vars:
        tower[ours].attrs = _described(str(ours))
    tower.attrs = _attrs(name, resolution, threshold)
    return tower if sites is None else _placed(tower, sites)


def turbulence(path: str | Path) -> pd.DataFrame:
    """Half-hourly wind and turbulence of a tower, as ``footprint.Air.of`` takes it; NaN where not measured.

    ``wind`` m s-1, ``direction`` degrees, ``ustar`` m s-1, ``obukhov`` m (from u*, sensible heat and temperature), and
    ``sigma_v`` m s-1 where the file has it.
    """
    path = Path(path).expanduser()
    name, content = _open(path, ("HH", "HR"))
    table = _Table(name, content)
    if _resolution(name, table) not in ("HH", "HR"):
        raise InputError(f"Got {name}, need half-hourly or hourly wind; give the HH file of the full set.")
    found = {
        ours: next((theirs for theirs in names if theirs in table.header), None)
        for ours, names in TURBULENCE.items()
    }
    lost = [TURBULENCE[ours][0] for ours, theirs in found.items() if theirs is None and ours not in OPTIONAL]
    if lost:
        raise InputError(f"Got {name} without {', '.join(lost)}, need them; fetch the full set.")
    found = {ours: theirs for ours, theirs in found.items() if theirs is not None}
    frame = table.read(list(found.values()))[list(found.values())].set_axis(list(found), axis=1)
    kelvin = frame.pop("tair") + 273.15
    pressure = frame.pop("pressure") if "pressure" in frame else kelvin * np.nan
    density = 1000 * pressure.fillna(SEA_LEVEL_KPA) / (287.05 * kelvin)
    heat = frame.pop("heat")
    heat = heat.where(heat != 0, 1e-6)  # neutral: a length beyond all heights, not a division by zero
    return frame.assign(obukhov=-density * 1005 * kelvin * frame["ustar"] ** 3 / (0.4 * 9.81 * heat))


def sites(path: str | Path) -> pd.DataFrame:
    """Longitude, latitude (degrees) and IGBP class of sites, indexed by site.

    From a CSV with a header, a headerless one (site, lat, lon, igbp, network), a BIF (variables LOCATION_LAT,
    LOCATION_LONG, IGBP per site; CSV or Excel) or GeoJSON points with the site in their properties.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"Got {path}, which is no file, need a table of sites; check the path.")
    try:
        table = _sites_table(path)
    except (ValueError, KeyError, TypeError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise InputError(
            f"Got {path.name}, which is no table of sites, need site, lat, lon and igbp; repair it."
        ) from error
    except ImportError as error:
        raise InputError(f"Got {path.name}, need openpyxl for Excel; install it or save as CSV.") from error
    missing = [column for column in ("lat", "lon") if column not in table]
    if missing:
        raise InputError(f"Got {path.name} without {', '.join(missing)}, need lat and lon; add the columns.")
    table["lat"], table["lon"] = (pd.to_numeric(table[axis], errors="coerce") for axis in ("lat", "lon"))
    table = table[~table.index.duplicated()].dropna(subset=["lat", "lon"])
    wrong = table[(table["lat"].abs() > 90) | (table["lon"].abs() > 180)]
    if len(wrong):
        raise InputError(f"Got {path.name} with {wrong.index[0]} off the globe, need degrees; check it.")
    return table[[column for column in ("lon", "lat", "igbp", "network", "name") if column in table]]


def files(folder: str | Path) -> dict[str, Path]:
    """The best tower file of each site in a folder and those below it: daily or a zip, else the finest, by site."""
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"Got {folder}, which is no folder, need one with tower files; check the path.")
    ranks, found = ("DD", "HH", "HR", "WW", "MM"), {}
    for path in sorted(folder.rglob("*")):
        named, site = re.search(r"_(DD|HH|HR|WW|MM)[_.]", path.name), SITE.search(path.name)
        data = path.suffix.lower() in (".csv", ".zip") and not re.search(r"_(ERA|AUX|VARINFO|BIF)", path.name)
        if not (site and data and path.is_file() and (named or path.suffix.lower() == ".zip")):
            continue
        rank = ranks.index(named[1]) if named else 0
        if site[1] not in found or rank < found[site[1]][0]:
            found[site[1]] = rank, path
    if not found:
        raise InputError(
            f"Got {folder} without tower files, need such as FLX_SITE_..._DD_....csv or .zip; choose another."
        )
    return {site: path for site, (_, path) in sorted(found.items())}


class _Table:
    """One CSV of a tower: its header, and its columns as numbers indexed by time."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name, self._content = name, content
        first = content[:1_000_000].split(b"\n", 1)[0].decode("utf-8-sig", errors="replace").strip()
        self._separator = max(",;\t", key=first.count)
        self.header = [column.strip().strip('"').upper() for column in first.split(self._separator)]
        stamps = ("TIMESTAMP", "TIMESTAMP_START")
        self.time = next((column for column in stamps if column in self.header), None)
        if self.time is None:
            found = ", ".join(self.header[:3])[:60] if first.isprintable() else "no text"
            raise InputError(
                f"Got {name} starting with {found!r}, need a FLUXNET file with a column TIMESTAMP or "
                "TIMESTAMP_START; check that it is a data file and not its description."
            )

    def read(self, columns: list[str]) -> pd.DataFrame:
        """Columns as float64, missing as NaN, in order of time."""
        wanted = [self.time, *columns]
        try:
            frame = pd.read_csv(
                io.BytesIO(self._content),
                sep=self._separator,
                header=0,
                names=self.header,
                index_col=False,
                usecols=[self.header.index(column) for column in dict.fromkeys(wanted)],
                dtype={column: "str" if column == self.time else "float64" for column in wanted},
                na_values=["-9999", "-9999.0", "-6999"],
                skipinitialspace=True,
            )
        except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
            why = (str(error).splitlines() or ["?"])[0][:80]
            raise InputError(
                f"Got {self.name} with cells that are no numbers ({why}), need numbers; fetch the file again."
            ) from error
        time = _times(self.name, frame.pop(self.time))
        frame = frame.where(frame > MISSING).set_index(time).sort_index()
        return frame[~frame.index.duplicated()]


def _open(path: Path, resolutions: tuple[str, ...] = ("DD", "HH", "HR", "WW", "MM")) -> tuple[str, bytes]:
    """Name and content of the data file: the file itself, or that of the first resolution in a zip."""
    if not path.is_file():
        raise InputError(f"Got {path}, which is no file, need a tower file (.csv or .zip); check the path.")
    if not zipfile.is_zipfile(path):
        return path.name, path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not re.search(r"_(ERA|AUX|VARINFO)", name)]
        for resolution in resolutions:
            for name in names:
                if re.search(rf"_{resolution}_[^/]*\.csv$", name):
                    return Path(name).name, _unzipped(archive, name)
    raise InputError(
        f"Got {path.name} without a *_{resolutions[0]}_*.csv in it, need a tower's zip; fetch the full set."
    )


def _unzipped(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, zlib.error) as error:
        raise InputError(f"Got {name} in a damaged zip, need a whole one; fetch it again.") from error


def _times(name: str, stamps: pd.Series) -> pd.DatetimeIndex:
    """Times of stamps YYYYMM, YYYYMMDD or YYYYMMDDHHMM; dashes and blanks between are ignored."""
    digits = stamps.astype("str").str.replace(r"\.0$|\D", "", regex=True)
    lengths = digits.str.len().unique() if len(digits) else []
    formats = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
    if len(lengths) != 1 or lengths[0] not in formats:
        raise InputError(f"Got {name} with other stamps than YYYYMMDD, need one kind per file; repair.")
    try:
        time = pd.to_datetime(digits, format=formats[lengths[0]])
    except ValueError as error:
        raise InputError(f"Got {name} with a stamp that is no date, need YYYYMMDD; repair it.") from error
    return pd.DatetimeIndex(time, name="time").as_unit("ns")


def _resolution(name: str, table: _Table) -> str:
    """HH, HR, DD, WW or MM: by the name, else by the stamps."""
    named = re.search(r"_(HH|HR|DD|WW|MM|YY)[_.]", name)
    if named:
        found = named[1]
    else:
        times = table.read([]).index
        step = np.median(np.diff(times.values)) / np.timedelta64(1, "h") if len(times) > 1 else 24
        limits = {"HH": 0.75, "HR": 12, "DD": 48, "WW": 24 * 10, "MM": 24 * 40}
        found = next((code for code, hours in limits.items() if step <= hours), "YY")
    if found == "YY":
        raise InputError(f"Got {name}, a yearly file, need daily (DD) or finer data; fetch the daily one.")
    return found


def _threshold(name: str, table: _Table) -> str:
    """The friction velocity threshold of the fluxes: varying (VUT) if there, else constant (CUT)."""
    for threshold in ("VUT", "CUT"):
        if any(f"GPP_{method}_{threshold}_REF" in table.header for method in ("NT", "DT")):
            return threshold
    raise InputError(
        f"Got {name} without GPP, need GPP_NT_VUT_REF or GPP_DT_VUT_REF; fetch the FULLSET or SUBSET product."
    )


def _columns(threshold: str) -> dict[str, str]:
    """Their column names by ours."""
    out = {f"gpp_{method}": f"GPP_{method.upper()}_{threshold}_REF" for method in ("nt", "dt")}
    for method in ("nt", "dt"):
        out |= {f"gpp_{method}_{q}": f"GPP_{method.upper()}_{threshold}_{q}" for q in PERCENTILES}
    out["qc"] = f"NEE_{threshold}_REF_QC"
    return out | {ours: f"{theirs}_F" for ours, theirs in WEATHER.items()}


def _daily(frame: pd.DataFrame, steps: int) -> pd.DataFrame:
    """Daily means of hourly data: fluxes in gC m-2 d-1, rain in mm d-1, quality as share of good values."""
    if "qc" in frame:
        frame["qc"] = (frame["qc"] <= 1).where(frame["qc"].notna())  # 0 measured, 1 filled well
    fluxes = [column for column in frame if column.startswith("gpp")]
    frame[fluxes] *= GC_PER_UMOL
    if "precip" in frame:
        frame["precip"] *= steps
    days = frame.astype("float64").resample("D")
    return days.mean().where(days.count() >= HOURS_AT_LEAST * steps / 24)


def _described(name: str) -> dict[str, str]:
    method = {"nt": "night-time partitioning", "dt": "day-time partitioning"}
    if name.startswith("gpp"):
        _, kind, *share = name.split("_")
        told = f"gross primary production, {method[kind]}" + (f", percentile {share[0]}" if share else "")
    else:
        told = {
            "qc": "share of measured or well gap-filled net exchange",
            "sw_in": "incoming shortwave radiation",
            "tair": "air temperature",
            "vpd": "vapour pressure deficit",
            "precip": "precipitation",
        }[name]
    return {"units": schema.units("tower", name), "long_name": told}


def _attrs(name: str, resolution: str, threshold: str) -> dict[str, object]:
    site = SITE.search(name)
    network = NETWORKS.get(name.split("_")[0], "")
    return {
        "site": site[1] if site else Path(name).stem,
        "source": name,
        "network": network,
        "resolution": "daily" if resolution in ("HH", "HR", "DD") else RESOLUTIONS[resolution],
        "source_resolution": RESOLUTIONS[resolution],
        "ustar_threshold": threshold,
        "time_zone": "local standard time",
        "units": "gC m-2 d-1",
        "simulated": 0,
    }


def _placed(tower: xr.Dataset, sites: pd.DataFrame) -> xr.Dataset:
    """The tower with lon, lat and igbp of its site, where the table knows it."""
    if tower.attrs["site"] not in sites.index:
        return tower
    row = sites.loc[tower.attrs["site"]]
    place = {"lon": float(row["lon"]), "lat": float(row["lat"])}
    return tower.assign_attrs(place | ({"igbp": str(row["igbp"])} if "igbp" in row else {}))


ALIASES = {
    "site": ("site", "site_id", "siteid", "site_name_short", "id"),
    "lat": ("lat", "latitude", "location_lat"),
    "lon": ("lon", "long", "lng", "longitude", "location_long", "location_lon"),
    "igbp": ("igbp", "pft", "igbp_class", "veg_type"),
    "network": ("network",),
    "name": ("name", "site_name"),
}


def _sites_table(path: Path) -> pd.DataFrame:
    if path.suffix.lower() in (".geojson", ".json"):
        return _renamed(_geojson(path))
    if path.suffix.lower() in (".xlsx", ".xls"):
        return _renamed(_bif(pd.read_excel(path)))
    first = path.read_text(encoding="utf-8-sig").split("\n", 1)[0]
    if SITE.match(first.strip()):
        names = ["site", "lat", "lon", "igbp", "network"]
        table = pd.read_csv(path, header=None, names=names, skipinitialspace=True, encoding="utf-8-sig")
        return _renamed(table)
    return _renamed(_bif(pd.read_csv(path, sep=None, engine="python", encoding="utf-8-sig")))


def _bif(table: pd.DataFrame) -> pd.DataFrame:
    """A long table of variables per site (BIF) as one row per site; other tables as they are."""
    table.columns = [str(column).strip() for column in table.columns]
    if not {"SITE_ID", "VARIABLE", "DATAVALUE"} <= set(table.columns):
        return table
    return (
        table.drop_duplicates(["SITE_ID", "VARIABLE"])
        .pivot(index="SITE_ID", columns="VARIABLE", values="DATAVALUE")
        .reset_index()
    )


def _geojson(path: Path) -> pd.DataFrame:
    rows = []
    for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
        lon, lat = feature["geometry"]["coordinates"][:2]
        rows.append({"id": feature.get("id"), **feature["properties"], "lon": lon, "lat": lat})
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _renamed(table: pd.DataFrame) -> pd.DataFrame:
    """Columns by our names, text stripped, indexed by site."""
    lower = {str(column).strip().lower(): column for column in table.columns}
    found = {
        ours: next(lower[alias] for alias in aliases if alias in lower)
        for ours, aliases in ALIASES.items()
        if any(alias in lower for alias in aliases)
    }
    if "site" not in found:
        raise KeyError("site")
    table = table[list(found.values())].set_axis(list(found), axis=1)
    for column in table:
        if column not in ("lat", "lon"):
            table[column] = table[column].astype("str").str.strip()
    return table.set_index("site")
