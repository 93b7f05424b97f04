"""A made-up store that keeps the contracts: a lake, a forest, a field that is cut, clouds, and a tower."""

from functools import cache

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.variables import CUBE_VARIABLES

NX, NY, FEATURES = 60, 48, 32
DAYS = pd.date_range("2020-03-01", "2020-10-31")
GRID = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, NX, NY)


PUBLISHED = ("2020-05-03T10:56", "2020-05-08T10:56", "2020-05-18T10:46")
"""When the images of the published cube were taken."""


def greenness(days: pd.DatetimeIndex) -> np.ndarray:
    """(time, y, x), 0-1: from west to east a lake, a forest, and a field that is cut once."""
    doy = days.day_of_year.values.astype(float)
    forest = 1 / (1 + np.exp(-(doy - 120) / 10)) - 1 / (1 + np.exp(-(doy - 285) / 9))
    field = (
        1
        / (1 + np.exp(-(doy - 95) / 8))
        * np.where((doy > 165) & (doy < 190), 0.35, 1)
        * np.exp(-(((doy - 150) / 160) ** 2))
    )
    out = np.zeros((len(days), NY, NX))
    wave = 1 + 0.08 * np.sin(np.arange(NY) / 5)[:, None] * np.cos(np.arange(NX) / 7)
    out[:, :, 15:40] = (forest[:, None, None] * wave[:, 15:40]).clip(0)
    out[:, :, 40:] = (field[:, None, None] * wave[:, 40:]).clip(0)
    return out.astype("float32")


def weather() -> xr.Dataset:
    doy = DAYS.day_of_year.values
    rng = np.random.default_rng(2)
    sun = (120 + 150 * np.sin((doy - 80) / 365 * 2 * np.pi)) * rng.uniform(0.45, 1.15, len(DAYS))
    air = 10 + 9 * np.sin((doy - 110) / 365 * 2 * np.pi) + rng.normal(0, 2, len(DAYS))
    columns = {
        "sw_in": (sun, "W m-2"),
        "tair": (air, "degC"),
        "vpd": (0.4 * air.clip(1), "hPa"),
        "precip": (0 * air, "mm d-1"),
    }
    return xr.Dataset(
        {k: ("time", v.astype("float32"), {"units": u}) for k, (v, u) in columns.items()}, {"time": DAYS}
    )


@cache
def make_scene() -> xr.DataTree:
    rng = np.random.default_rng(0)
    shots = DAYS[::5] + pd.Timedelta(hours=10, minutes=33)
    green = greenness(shots.normalize())
    bands = {"B02": (0.06, -0.03), "B03": (0.08, -0.02), "B04": (0.09, -0.06), "B08": (0.13, 0.3)}
    refl = np.stack([base + slope * green for base, slope in bands.values()], axis=1)
    refl += rng.normal(0, 0.004, refl.shape)
    refl[:, :, :, :15] *= 0.4
    clear = np.ones((len(shots), NY, NX), bool)
    for i in range(len(shots)):
        if rng.random() < 0.45 or 10 <= i <= 15:
            clear[i, :, : int(rng.uniform(0.5, 1.1) * NX)] = False
    clear[[2, 20, 30]] = True
    refl[~clear.repeat(1, 0)[:, None].repeat(4, 1)] += 0.35
    s2 = xr.Dataset(
        {
            "reflectance": (("time", "band", "y", "x"), refl.astype("float32")),
            "clear": (("time", "y", "x"), clear),
        },
        {"time": shots.values, "band": list(bands), "y": GRID.y, "x": GRID.x},
    )
    lon, lat = GRID.lonlat(float(GRID.x[28]), float(GRID.y[20]))
    gpp = np.tile(greenness(DAYS)[:, 20, 28] * weather().sw_in.values * 0.045, 2)
    years = DAYS.map(lambda day: day.replace(year=2019)).append(DAYS)
    tower = xr.Dataset(
        {
            "gpp_nt": (
                "time",
                (gpp + rng.normal(0, 0.6, len(gpp))).astype("float32"),
                {"units": "gC m-2 d-1"},
            ),
            "gpp_dt": (
                "time",
                (gpp + rng.normal(0, 0.4, len(gpp))).astype("float32"),
                {"units": "gC m-2 d-1"},
            ),
            "qc": ("time", np.where(np.arange(len(gpp)) % 3, 1, 0.5).astype("float32")),
        },
        {"time": years},
        {"site": "XX-Tst", "lon": float(lon), "lat": float(lat), "igbp": "DBF", "simulated": 1},
    )
    passes = DAYS[::6] + pd.Timedelta(hours=17)
    wet = rng.normal(0, 0.5, (len(passes), 2, NY, NX)) + np.array([-10, -16])[:, None, None]
    s1 = xr.Dataset(
        {
            "backscatter": (
                ("time", "band", "y", "x"),
                (wet + 4 * greenness(passes.normalize())[:, None]).astype("float32"),
            )
        },
        {"time": passes.values, "band": ["VV", "VH"], "y": GRID.y, "x": GRID.x},
    )
    attrs = {"id": "tiny", "title": "A tiny made-up world", "simulated": 1, "source": "tests"}
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs=attrs), "/s2": s2, "/s1": s1, "/weather": weather(), "/tower": tower}
    )


@cache
def make_cube() -> xr.Dataset:
    rng = np.random.default_rng(1)
    green = greenness(DAYS)
    mix = rng.normal(0, 1, (3, FEATURES))
    kind = np.zeros((NY, NX))
    kind[:, 15:40], kind[:, 40:] = 1, -1
    latent = np.stack([green * 2 - 1, np.broadcast_to(kind, green.shape), green * kind], axis=-1)
    value = (latent @ mix / 3 * 127).clip(-127, 127)
    since = np.broadcast_to((np.arange(len(DAYS)) % 17)[:, None, None], green.shape)
    cube = xr.Dataset(
        {
            "embedding": (("time", "y", "x", "feature"), value.round().astype("int8")),
            "sigma": (("time", "y", "x"), (0.01 + since * 0.002).astype("float32")),
            "days_from_s2": (("time", "y", "x"), since.astype("int16")),
            "days_from_s1": (("time", "y", "x"), (since % 6).astype("int16")),
        },
        {
            "time": ("time", DAYS, {"long_name": "UTC day", "standard_name": "time"}),
            "y": GRID.y,
            "x": GRID.x,
            "feature": [f"e{i:02d}" for i in range(FEATURES)],
            "scale": ("feature", np.full(FEATURES, 1 / 64, "float32")),
        },
        {
            "title": "Embeddings of a tiny made-up world",
            "simulated": 1,
            "model": "made-up",
            "scene_id": "tiny",
        },
    )
    # Labelled as the cubes that are computed.
    for name, array in cube.data_vars.items():
        array.attrs = dict(CUBE_VARIABLES[name].attrs)
    return cube


def predict(cube: xr.Dataset, weather: xr.Dataset) -> xr.Dataset:
    """GPP of the made-up world: light times a decoded greenness, with a fifth as the band."""
    light = weather.sw_in.sel(time=cube.time)
    gpp = (cube.embedding.isel(feature=0).astype("float32") * 0.02 + 0.5).clip(0) * light * 0.03
    return xr.Dataset({"gpp": gpp, "gpp_lo": gpp * 0.8 - 0.4, "gpp_hi": gpp * 1.2 + 0.4})


def write_store(path, **attrs) -> str:
    """The tiny world on disk, with other ``attrs`` where they are given; returns the snapshot id."""
    from types import SimpleNamespace

    from fluxlens.embeddings.store import write

    cube, scene = make_cube().assign_coords(GRID.coords()).assign_attrs(attrs), make_scene().copy()
    for name in ("s2", "s1"):
        scene[name] = scene[name].to_dataset().assign_coords(GRID.coords())
    whole = SimpleNamespace(rows=slice(0, NY), cols=slice(0, NX), cube=cube)
    return write(path, cube, [whole], scene)


class TinyStore:
    """The store's interface over arrays in memory; counts what it is asked."""

    def __init__(self):
        self._cube, self._scene = make_cube(), make_scene().copy()
        self.grid, self.snapshot, self.path = GRID, "0" * 12, "tiny"
        self.reads = {"map": 0, "series": 0}

    def cube(self, layout=None):
        return self._cube

    def scene(self):
        return self._scene

    def true_colour_overviews(self):
        return {}

    def map(self, day):
        self.reads["map"] += 1
        return self._cube.sel(time=day)

    def window(self, days, rows, cols):
        return self._cube.isel(time=days, y=rows, x=cols)

    def series(self, row, col):
        self.reads["series"] += 1
        return self._cube.isel(y=row, x=col)


def give(upload, name: str, content: bytes, part: int = 2**20) -> list:
    """Sends a file to an upload as the browser does; what it answered."""
    import base64

    answers = []
    upload._send_msg = lambda encoded: answers.append(encoded["next"])
    upload._handle_msg({"name": name, "size": len(content)})
    while answers[-1] is not None:
        encoded = base64.b64encode(content[answers[-1] :][:part]).decode()
        upload._handle_msg({"part": encoded})
    return answers


def tower_file(half_hours: bool = False) -> bytes:
    """A FLUXNET file of two years around the made-up world: twice its forest's GPP by day, half of that by night."""
    days = pd.date_range("2019-03-01", "2020-10-31")
    gpp = np.resize(greenness(DAYS)[:, 20, 28] * weather().sw_in.values * 0.09, len(days))
    table = {"TIMESTAMP": days.strftime("%Y%m%d"), "GPP_DT_VUT_REF": gpp, "GPP_NT_VUT_REF": gpp / 2}
    table["NEE_VUT_REF_QC"] = np.where(np.arange(len(days)) % 4, 1, 0.5)
    if half_hours:
        table = {name: np.repeat(values, 48) for name, values in table.items()}
        times = pd.date_range(days[0], periods=48 * len(days), freq="30min")
        del table["TIMESTAMP"]
        wind = {"WS_F": 3.0, "USTAR": 0.4, "H_F_MDS": 60.0, "TA_F": 15.0, "WD": 270.0}
        table = {"TIMESTAMP_START": times.strftime("%Y%m%d%H%M"), **table, **wind}
        table["NEE_VUT_REF_QC"] = 0
    return pd.DataFrame(table).to_csv(index=False, float_format="%.3f").encode()


def published_cube(crs: str = GRID.crs, grid: Grid = GRID) -> xr.Dataset:
    """As DeepFeatures writes them: vectors that tell their place, one image all cloud, one with a gap."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(5, 3))
    x, y = np.meshgrid(grid.x, grid.y)
    place = np.stack([(x - GRID.x[0]) / 100, (y - GRID.y[0]) / 100, np.sin(x / 35) + np.cos(y / 55)])
    values = np.stack([np.tensordot(mix, place + when, 1) for when in range(len(PUBLISHED))], 1)
    values[:, 1] = np.nan
    values[:, 0, :10] = np.nan
    return xr.Dataset(
        {"features": (("feature", "time", "y", "x"), values.astype("float32"))},
        {"time": np.array(PUBLISHED, "datetime64[ns]"), "y": grid.y, "x": grid.x},
        {"utm_zone": crs, "id": "000123", "simulated": 1},
    )
