"""A whole simulated scene from one seed: land, weather, growth, satellites, the true state and a tower.

Long on purpose: one order of random draws makes a scene, and its bytes are fixed by the tests.
"""

# Over 400 lines: a scene is assembled in one place, so that the order of its random streams is seen at once.

import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.scenes import schema
from fluxlens.embeddings.simulate import carbon, landsat, landscape, optics, radar, tower, vegetation, weather
from fluxlens.embeddings.simulate.canopy import BANDS
from fluxlens.embeddings.simulate.ground import Pixels
from fluxlens.embeddings.simulate.landscape import COVERS, PIXEL_M, WATER, LandscapeConfig
from fluxlens.embeddings.simulate.optics import Orbits
from fluxlens.embeddings.simulate.radar import POLARISATIONS, Tracks
from fluxlens.models.errors import InputError

SPIN_UP_DAYS = 430
"""Simulated before the scene's first day, so that soil, snow and crops forget their initial state."""
# Long names say what the simulator means; units are those of the scene's contract.
TRUTH_LONG_NAMES = {
    "lai": "leaf area index, green and brown",
    "fapar": "fraction of photosynthetically active radiation absorbed by green leaves",
    "chlorophyll": "chlorophyll of the green leaves",
    "soil_moisture": "volumetric water of the top 10 cm; 1 = open water",
    "gpp": "gross primary production",
}
WEATHER_LONG_NAMES = {
    "sw_in": "incoming shortwave radiation, daily mean",
    "tair": "air temperature, daily mean",
    "vpd": "vapour pressure deficit, daily mean",
    "precip": "precipitation",
}


@dataclass(frozen=True)
class Request:
    """Everything that decides a scene; the same request gives the same bytes."""

    name: str = "demo"
    seed: int = 0
    size_px: int = 100
    """Side length, pixels of 10 m; even."""
    start: str = "2020-01-01"
    end: str = "2020-12-31"
    climate: str = "temperate"
    lon: float | None = None
    lat: float | None = None
    """Degrees; the climate's own place when not given."""
    truth: bool = True
    """Whether to add /truth and /tower."""
    landsat: bool = False
    """Whether to add /landsat8."""
    landscape: LandscapeConfig = field(default_factory=LandscapeConfig)
    orbits: Orbits = field(default_factory=Orbits)
    tracks: Tracks = field(default_factory=Tracks)

    def __post_init__(self) -> None:
        if self.size_px < 8 or self.size_px % 2:
            nearest = max(8, self.size_px // 2 * 2)
            raise InputError(f"size_px is {self.size_px}, need an even one of at least 8; try {nearest}.")
        if pd.Timestamp(self.end) < pd.Timestamp(self.start):
            raise InputError(
                f"the scene would end on {self.end}, before it starts on {self.start}; swap the dates."
            )
        preset = weather.climate_of(self.climate)
        # Frozen, but its defaults depend on the climate; the place as it is then stands in the attributes.
        object.__setattr__(self, "lon", preset.lon if self.lon is None else float(self.lon))
        object.__setattr__(self, "lat", preset.lat if self.lat is None else float(self.lat))
        if not (-180 <= self.lon <= 180 and -75 <= self.lat <= 75):
            raise InputError(
                f"the place is lon {self.lon}, lat {self.lat}; need lon -180..180 and lat -75..75 degrees."
            )


def _grid_of(request: Request) -> Grid:
    """The 10 m grid of a request, in the UTM zone of the place."""
    from pyproj import Transformer

    # UTM zones are 6 degrees wide; longitude 180 belongs to the last one.
    zone = int(min((request.lon + 180) // 6 + 1, 60))
    epsg = (32600 if request.lat >= 0 else 32700) + zone
    east, north = Transformer.from_crs(4326, epsg, always_xy=True).transform(request.lon, request.lat)
    half = request.size_px * PIXEL_M / 2
    # On the 20 m lattice of the tiles, so that 10 m and 20 m pixels share corners.
    left, top = (float(np.round(v / 20) * 20) for v in (east - half, north + half))
    return Grid(f"EPSG:{epsg}", left, top, PIXEL_M, request.size_px, request.size_px)


def _gridded(dataset: xr.Dataset, grid: Grid) -> xr.Dataset:
    """The dataset with the grid's axes, their attributes and the CRS."""
    import rioxarray  # noqa: F401  (the .rio accessor)

    dataset = dataset.assign_coords(
        y=("y", grid.y, {"units": "m", "standard_name": "projection_y_coordinate"}),
        x=("x", grid.x, {"units": "m", "standard_name": "projection_x_coordinate"}),
    )
    return dataset.rio.write_crs(grid.crs)


def _streams(request: Request) -> dict[str, np.random.Generator]:
    """One independent random stream per subject, so that adding the truth or Landsat changes nothing else."""
    # The order is fixed: spawned seeds go by position.
    names = ("land", "weather", "growth", "s2", "s1", "tower", "landsat8")
    # CRC of the climate's name, since hash() differs from process to process.
    seeds = np.random.SeedSequence([request.seed & 0xFFFFFFFF, zlib.crc32(request.climate.encode())]).spawn(
        len(names)
    )
    return {name: np.random.default_rng(seed) for name, seed in zip(names, seeds, strict=True)}


def _moment(day: pd.Timestamp, local_h: float, lon: float, second: int) -> np.datetime64:
    """An acquisition's time, UTC."""
    # Solar time runs an hour ahead for each 15 degrees east.
    utc = day + pd.Timedelta(hours=(local_h - lon / 15)) + pd.Timedelta(seconds=second)
    return np.datetime64(utc.round("s"), "ns")


def build(request: Request) -> Steps[xr.DataTree]:
    """Simulate a scene.

    Parameters
    ----------
    request
        Everything that decides the scene.

    Yields
    ------
    Message and fraction done, 0-1.

    Returns
    -------
    The scene as ``embeddings.scenes.schema`` describes it, with ``/truth`` and ``/tower`` where ``request.truth``.
    """
    streams = _streams(request)
    days = pd.date_range(request.start, request.end, freq="D").as_unit("ns")
    # More than a year before the first day: soil water and growth must not remember their start values.
    all_days = pd.date_range(days[0] - pd.Timedelta(days=SPIN_UP_DAYS), days[-1], freq="D").as_unit("ns")
    n, first = len(days), SPIN_UP_DAYS
    grid = _grid_of(request)
    yield "land cover", 0.0
    land = landscape.draw_land(streams["land"], request.size_px, request.landscape)
    climate = weather.climate_of(request.climate)
    met = weather.generate(streams["weather"], climate, request.lat, all_days)
    yield "vegetation", 0.05
    # The land-cover map shows the season in the middle of the scene.
    middle = first + n // 2
    season = int((np.diff(met.season_day[: middle + 1]) < -300).sum())
    if met.season_day[middle] > 260:  # autumn: the season that is over counts for less than the one sown
        season += int(n > 200 and met.season_day[middle] > 300)
    farming = vegetation.FARMING[request.climate]
    growth = vegetation.grow(streams["growth"], land.unit_cover, met, climate, farming, season)
    pixels = Pixels(land, growth)

    nodes = {}
    yield "Sentinel-2", 0.15
    # One after the other, so that progress is reported and memory holds one image's layers.
    images = []
    for image in optics.acquire(streams["s2"], pixels, met, first, n, request.orbits):
        images.append(image)
        yield f"Sentinel-2, {days[image[0].day].date()}", 0.15 + 0.4 * image[0].day / n
    optical = _optical(images, days, request.lon, optics.OVERPASS_H, tuple(BANDS), ("R051", "R008"))
    nodes["s2"] = _gridded(optical, grid)
    echoes = []
    for echo in radar.acquire(streams["s1"], pixels, met.tair, met.precip, first, n, request.tracks):
        echoes.append(echo)
        yield f"Sentinel-1, {days[echo[0]].date()}", 0.55 + 0.2 * echo[0] / n
    coarse = replace(grid, size_m=2 * PIXEL_M, nx=grid.nx // 2, ny=grid.ny // 2)  # shares the corner
    nodes["s1"] = _gridded(_s1(echoes, days, request.lon), coarse)
    # Its own random stream: scenes with and without Landsat agree in all other nodes.
    if request.landsat:
        yield "Landsat 8", 0.75
        acquired = landsat.acquire(
            streams["landsat8"], pixels, met, first, n, request.orbits.cloud_logit, grid.x, grid.y
        )
        node = _optical(list(acquired), days, request.lon, landsat.OVERPASS_H, schema.L8_BANDS, landsat.PATHS)
        nodes["landsat8"] = _gridded(node, grid)
    nodes["weather"] = _weather(met.from_day(first))
    # Training scenes leave the truth out: it takes most of the memory.
    if request.truth:
        truth = yield from _truth(pixels, met, first, n)
        nodes["truth"] = _gridded(truth.assign_coords(time=days), grid)
        nodes["tower"] = _tower(streams["tower"], request, grid, land, nodes["truth"], nodes["weather"])
    scene = xr.DataTree.from_dict({f"/{name}": node for name, node in nodes.items()})
    scene.attrs = _attrs(request)
    yield "done", 1.0
    return scene


def _attrs(request: Request) -> dict:
    return {
        "id": f"SIM-{request.name}-{request.seed}",
        "title": f"simulated {request.climate} landscape {request.name!r} (seed {request.seed})",
        "simulated": 1,
        "source": "fluxlens simulator: PROSPECT-D + 4SAIL table, water-cloud model, P-model (pyrealm)",
        "licence": "CC0-1.0",
        "climate": request.climate,
        "seed": int(request.seed),
        "lon": request.lon,
        "lat": request.lat,
    }


def _optical(
    images: list,
    days: pd.DatetimeIndex,
    lon: float,
    local_h: float,
    bands: tuple[str, ...],
    orbits: tuple[str, str],
) -> xr.Dataset:
    times = [_moment(days[p.day], local_h, lon, 600 * p.second) for p, *_ in images]
    reflectance = np.stack([image.transpose(2, 0, 1) for _, image, *_ in images])
    dataset = xr.Dataset(
        {
            "reflectance": (("time", "band", "y", "x"), reflectance),
            "clear": (("time", "y", "x"), np.stack([clear for *_, clear, _ in images])),
            "cloud_truth": (("time", "y", "x"), np.stack([cloud for *_, cloud in images])),
            "orbit": ("time", np.array([orbits[p.second] for p, *_ in images])),
        },
        coords={"time": np.array(times, dtype="datetime64[ns]"), "band": list(bands)},
        attrs={"simulated": 1},
    )
    dataset["reflectance"].attrs = {"units": "1", "long_name": "simulated surface reflectance"}
    dataset["clear"].attrs = {"long_name": "taken for clear by an imperfect mask"}
    dataset["cloud_truth"].attrs = {"long_name": "cloud, thin cloud, haze above 0.02 or shadow"}
    return dataset


def _s1(echoes: list, days: pd.DatetimeIndex, lon: float) -> xr.Dataset:
    # Local solar times of Sentinel-1's nodes: it flies along the terminator.
    hour = {"ascending": 17.9, "descending": 6.0}
    echoes = sorted(echoes, key=lambda e: (e[0], hour[e[1]]))
    times = [_moment(days[day], hour[orbit], lon, 0) for day, orbit, _ in echoes]
    dataset = xr.Dataset(
        {"backscatter": (("time", "band", "y", "x"), np.stack([image for *_, image in echoes]))},
        coords={
            "time": np.array(times, dtype="datetime64[ns]"),
            "band": list(POLARISATIONS),
            "orbit": ("time", np.array([orbit for _, orbit, _ in echoes])),
        },
        attrs={"simulated": 1},
    )
    dataset["backscatter"].attrs = {"units": "dB", "long_name": "simulated backscatter coefficient"}
    return dataset


def _weather(met: weather.Weather) -> xr.Dataset:
    dataset = xr.Dataset(
        {name: ("time", getattr(met, name).astype(np.float32)) for name in WEATHER_LONG_NAMES},
        coords={"time": met.days},
        attrs={"simulated": 1},
    )
    for name, long_name in WEATHER_LONG_NAMES.items():
        dataset[name].attrs = {"units": schema.units("weather", name), "long_name": long_name}
    return dataset


def _truth(pixels: Pixels, met: weather.Weather, first: int, days: int) -> Steps[xr.Dataset]:
    """Yield progress; return the truth, daily."""
    land, growth = pixels.land, pixels.growth
    shape = land.unit.shape
    out = {name: np.zeros((days, *shape), dtype=np.float32) for name in TRUTH_LONG_NAMES}
    c3, c4, par = carbon.efficiency(met), carbon.efficiency(met, c4=True), carbon.par_mol(met)
    unit = land.unit.ravel()
    # Day by day: maps of all layers of the canopy for a year would not fit in memory.
    for day in range(days):
        at = first + day
        # Absorbed light of the overpass hour stands for the day; the table ends at 72 degrees.
        sun_deg = min(weather.sun_zenith_deg(met.lat, met.days[at].day_of_year, optics.OVERPASS_H), 72)
        # Snow covers up to 70 % of the leaves.
        fapar = pixels.fapar(pixels.canopy_channels(at, sun_deg, 0.5), at) * (1 - 0.7 * growth.snow[at])
        # The P-model per pathway, stress by soil water with 15 % left, and less for pale leaves.
        lue = np.where(growth.c4[unit, at], c4[at], c3[at])
        chlorophyll_factor = 0.55 + 0.45 * np.clip(growth.cab[unit, at] / 40, 0.2, 1)  # pale leaves work less
        row = {
            "lai": pixels.lai(at),
            "fapar": fapar,
            "chlorophyll": np.where(is_water(land), 0, pixels.cab(at)),
            "soil_moisture": pixels.moisture(at),
            "gpp": fapar * par[at] * lue * (0.15 + 0.85 * growth.stress[unit, at]) * chlorophyll_factor,
        }
        for name, value in row.items():
            out[name][day] = value.reshape(shape)
        if day % 30 == 0:
            yield "absorbed light and carbon", 0.75 + 0.25 * day / days
    dataset = xr.Dataset(
        {name: (("time", "y", "x"), value) for name, value in out.items()}, attrs={"simulated": 1}
    )
    for name, long_name in TRUTH_LONG_NAMES.items():
        dataset[name].attrs = {"units": schema.units("truth", name), "long_name": f"simulated {long_name}"}
    dataset["land_cover"] = (("y", "x"), land.cover)
    dataset["land_cover"].attrs = {
        "flag_values": np.arange(len(COVERS), dtype=np.int8),
        "flag_meanings": " ".join(COVERS),
        "long_name": "simulated land cover of the main season",
    }
    return dataset


def is_water(land: landscape.Land) -> np.ndarray:
    """(pixel,) bool: open water."""
    return land.cover.ravel() == WATER


def _tower(
    rng: np.random.Generator,
    request: Request,
    grid: Grid,
    land: landscape.Land,
    truth: xr.Dataset,
    met: xr.Dataset,
) -> xr.Dataset:
    row, col = tower.choose_site(rng, land)
    # The tower measures what its footprint takes up, not its own pixel.
    footprint_gpp = np.einsum("tyx,yx->t", truth["gpp"].values, tower.footprint(land, row, col))
    node = tower.measure(rng, footprint_gpp, pd.DatetimeIndex(truth.time.values)).merge(
        met, combine_attrs="drop"
    )
    lon, lat = (round(float(degrees), 6) for degrees in grid.lonlat(grid.x[col], grid.y[row]))
    node.attrs = {
        "site": f"SIM-{request.name}-{request.seed}",
        "lon": lon,
        "lat": lat,
        "igbp": tower.igbp(int(land.cover[row, col]), request.climate),
        "simulated": 1,
    }
    return node


def steps(name: str = "demo", **request: Any) -> Steps[xr.DataTree]:
    """The same as ``simulate`` in steps: yields (message, fraction 0-1); the generator's return value is the scene.

    Parameters
    ----------
    name
        Name of the scene.
    **request
        Other fields of ``Request``.
    """
    return build(Request(name, **request))


def simulate(name: str = "demo", **request: Any) -> xr.DataTree:
    """A simulated scene.

    Parameters
    ----------
    name
        Name of the scene.
    **request
        Other fields of ``Request``: seed, size_px, start, end, climate, ...

    Examples
    --------
    >>> simulate("demo", seed=1, size_px=32, climate="boreal")  # doctest: +SKIP
    """
    return progress.run(steps(name, **request))


def random_request(seed: int, size_px: int = 64, **fixed: Any) -> Request:
    """Draw climate, place, landscape, orbits and cloudiness of a training scene of 485 days.

    Parameters
    ----------
    seed
        Decides everything; the same seed gives the same scene.
    size_px
        Side length, pixels of 10 m.
    **fixed
        Fields of ``Request`` that are not drawn.
    """
    # A stream of its own: the land's stream of the same seed must not follow the choice of the place.
    rng = np.random.default_rng([seed, 4711])
    # Shares roughly as the land of these climates is monitored, not as the Earth's surface.
    climate = rng.choice(list(weather.CLIMATES), p=[0.46, 0.14, 0.16, 0.08, 0.16])
    # Degrees between which land of the climate lies, of the continents where it is monitored.
    lat = {
        "temperate": (43, 56),
        "boreal": (57, 66),
        "mediterranean": (35, 43),
        "semi-arid": (11, 17),
        "southern": (-45, -33),
    }
    lon = {
        "temperate": (-4, 28),
        "boreal": (8, 40),
        "mediterranean": (-8, 28),
        "semi-arid": (-16, 30),
        "southern": (140, 178),
    }
    composition = LandscapeConfig(
        forest=float(rng.choice([0.0, 0.1, 0.25, 0.5, 0.8], p=[0.25, 0.3, 0.25, 0.12, 0.08])),
        grass=float(rng.beta(1.3, 2.2)),
        cereal=float(rng.beta(2.0, 2.0)),
        needle=float(rng.random()),
        water=float(rng.choice([0.0, 0.01, 0.05], p=[0.5, 0.35, 0.15])),
        village=float(rng.choice([0.0, 0.04, 0.12, 0.35], p=[0.35, 0.35, 0.22, 0.08])),
        field_ha=float(np.exp(rng.uniform(np.log(0.7), np.log(9)))),
        roads=bool(rng.random() < 0.85),
    )
    orbits = Orbits(
        second=bool(rng.random() < 0.45),
        lost_share=float(rng.choice([0.02, 0.25], p=[0.7, 0.3])),
        cloud_logit=float(rng.normal(0.0, 0.4)),
        mask_skill=float(np.exp(rng.normal(0, 0.3))),
    )
    tracks = Tracks(
        int(rng.choice([6, 12], p=[0.7, 0.3])),
        (("ascending",), ("descending",), ("ascending", "descending"))[rng.integers(3)],
    )
    # Any day of the year: samples must not depend on where a series begins.
    start = pd.Timestamp("2018-01-01") + pd.Timedelta(days=int(rng.integers(0, 365)))
    drawn = Request(
        name=f"random-{seed}",
        seed=seed,
        size_px=size_px,
        start=str(start.date()),
        # Sixteen months: a full season from whichever day it begins.
        end=str((start + pd.Timedelta(days=484)).date()),
        climate=str(climate),
        lon=float(rng.uniform(*lon[climate])),
        lat=float(rng.uniform(*lat[climate])),
        truth=False,
        landscape=composition,
        orbits=orbits,
        tracks=tracks,
    )
    return replace(drawn, **fixed)


def random_scene(seed: int, size_px: int = 64, **fixed: Any) -> xr.DataTree:
    """A scene for training.

    Parameters
    ----------
    seed, size_px, **fixed
        As ``random_request`` takes them; ``truth=True`` adds the true state of the land.
    """
    return progress.run(build(random_request(seed, size_px, **fixed)))
