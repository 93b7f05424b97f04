"""Answers for the screen: what a store and its scene say about one day or one pixel."""

import copy
import datetime as dt
import math
from collections.abc import Callable
from functools import cached_property, lru_cache, partial

import numpy as np
import pandas as pd
import xarray as xr

from app import areas, ground, tower
from app.alike import Alike
from app.pictures import Look, Picture, fmt
from app.state import Place
from app.tower import FLUXES

GAP_DAYS = 10
"""A stretch without a clear view longer than this many days is shaded in the charts."""
NEAR_TOWER_M = 500
"""A pixel this close to a tower is compared with it without a warning about distance."""
SAMPLE_DAYS, SAMPLE_SIDE = 16, 24
"""The sample behind every fixed stretch: that many days, that many pixels a side."""
HELD_IN_MEMORY = 512 * 2**20
"""Bytes of NDVI kept for fast taps; a larger scene is read pixel by pixel."""


def gaps(clear_times: pd.DatetimeIndex, first: pd.Timestamp, last: pd.Timestamp, longer_than: int = GAP_DAYS):
    """Stretches (start, end) inside first..last without a clear view for more than ``longer_than`` days."""
    edges = pd.DatetimeIndex([first, *clear_times[(clear_times > first) & (clear_times < last)], last])
    long = np.flatnonzero(np.diff(edges) > pd.Timedelta(days=longer_than))
    return [(edges[i], edges[i + 1]) for i in long]


class Data:
    """A store's answers, cached on small keys (day, layer, pixel), never on arrays; shared by all sessions.

    ``predict(cube, weather)`` gives gpp, gpp_lo, gpp_hi; without it, or without weather, there is no GPP.
    """

    def __init__(self, store, predict: Callable | None = None):
        self.store, self.grid = store, store.grid
        self._maps = store.cube("maps")
        self.scene = store.scene()
        self.predict = predict if predict and self._node("weather") is not None else None
        self.cube = lru_cache(maxsize=4)(self._cube)
        self.picture = lru_cache(maxsize=24)(self._picture)
        self.pixel = lru_cache(maxsize=256)(self._pixel)
        self.area = lru_cache(maxsize=32)(partial(areas.series, self))
        self._own_tower()
        self._gpp_map = lru_cache(maxsize=8)(self._predict_map)
        self.alike = Alike(self)
        self._photo = lru_cache(maxsize=12)(self._read_photo)
        self.wind: pd.DataFrame | None = None
        """Half-hours of the tower's wind, where its file has them."""

    def _own_tower(self) -> None:
        """Caches of answers that hang on the tower."""
        self.ground = lru_cache(maxsize=32)(partial(ground.ground, self))
        self.beside = lru_cache(maxsize=32)(partial(tower.beside, self))

    def standing(self, tower: xr.Dataset, wind: pd.DataFrame | None = None) -> "Data":
        """The same answers with another tower, for the one session that gave it; all else is shared, caches too."""
        other = copy.copy(self)
        for name in ("tower", "tower_xy", "start"):
            other.__dict__.pop(name, None)
        other.tower, other.wind = tower.assign(usual(tower)), wind
        other._own_tower()
        return other

    # --- what there is ---

    @property
    def attrs(self) -> dict:
        return self._maps.attrs

    @cached_property
    def days(self) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(self._maps.time.values).normalize()

    @property
    def first(self) -> dt.date:
        return self.days[0].date()

    @property
    def last(self) -> dt.date:
        return self.days[-1].date()

    @property
    def simulated(self) -> bool:
        scene = self.scene.attrs if self.scene is not None else {}
        return bool(int(self.attrs.get("simulated", scene.get("simulated", 0))))

    @property
    def title(self) -> str:
        scene = self.scene.attrs if self.scene is not None else {}
        return str(scene.get("title") or self.attrs.get("title") or "Untitled scene")

    @cached_property
    def features(self) -> list[str]:
        return [str(name) for name in self._maps.feature.values]

    @cached_property
    def layers(self) -> list[str]:
        """Keys of the layers this store can show."""
        photo = ["true"] if self._rgb_bands else []
        gpp = ["gpp", "width"] if self.predict else []
        return [*photo, "pca", "feature", *gpp, "similar", "clusters", "labels", "sigma", "gap"]

    @cached_property
    def absent(self) -> list[str]:
        """Why something is not on this screen, one sentence each."""
        found = [str(band) for band in self._s2.band.values] if self._s2 is not None else []
        has = f"this scene has {', '.join(found)}" if found else "this store carries no Sentinel-2"
        told = []
        if not self._rgb_bands:
            told.append(f"No true colour: it needs B04, B03 and B02, {has}.")
        if self.ndvi is None:
            told.append(f"No NDVI: it needs B04 (red) and B08 or B8A (near infrared), {has}.")
        if self.predict is None:
            why = "the store carries no weather" if self._node("weather") is None else "another model made it"
            told.append(f"No GPP: {why}.")
        return told

    @cached_property
    def tower(self) -> xr.Dataset | None:
        """The tower's file, with `gpp_usual` where it has several years."""
        tower = self._node("tower")
        return tower if tower is None else tower.assign(usual(tower)).load()

    def fluxes(self) -> list[str]:
        """Partitionings of GPP the tower has."""
        return [name for name in FLUXES if self.tower is not None and name in self.tower]

    @cached_property
    def tower_xy(self) -> tuple[float, float] | None:
        """The tower's place in metres of the scene's CRS."""
        if self.tower is None or not {"lon", "lat"} <= set(self.tower.attrs):
            return None
        x, y = self.grid.xy(float(self.tower.attrs["lon"]), float(self.tower.attrs["lat"]))
        return float(x), float(y)

    def _node(self, name: str) -> xr.Dataset | None:
        if self.scene is None or name not in self.scene.children:
            return None
        return self.scene[name].to_dataset()

    @cached_property
    def sensed(self) -> xr.DataTree:
        """What a model reads of the scene: its sensors, in memory where they fit."""
        nodes = {name: self._node(name) for name in ("s2", "s1", "landsat8")}
        nodes = {f"/{name}": node for name, node in nodes.items() if node is not None}
        if sum(node.nbytes for node in nodes.values()) <= 4 * HELD_IN_MEMORY:
            nodes = {name: node.load() for name, node in nodes.items()}
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs=self.scene.attrs), **nodes})

    @property
    def can_compute(self) -> bool:
        """Whether the store carries images a model can read."""
        return self._node("s2") is not None or self._node("s1") is not None

    @cached_property
    def acquisitions(self) -> int:
        """How many images of the scene a model encodes."""
        nodes = (self._node(name) for name in ("s2", "s1"))
        return sum(node.sizes["time"] for node in nodes if node is not None)

    # --- where ---

    def locate(self, x: float, y: float) -> tuple[int, int]:
        """(row, col) of a place in metres; InputError outside the scene."""
        lon, lat = self.grid.lonlat(x, y)
        return self.grid.pixel(float(lon), float(lat))

    def centre(self, row: int, col: int) -> tuple[float, float]:
        """Pixel centre, metres."""
        return float(self.grid.x[col]), float(self.grid.y[row])

    @cached_property
    def start(self) -> tuple[int, int]:
        """The pixel shown first: the tower's, else the middle."""
        if self.tower_xy is not None:
            col = int(np.abs(self.grid.x - self.tower_xy[0]).argmin())
            row = int(np.abs(self.grid.y - self.tower_xy[1]).argmin())
            return row, col
        return self.grid.ny // 2, self.grid.nx // 2

    def tower_distance_m(self, row: int, col: int) -> float | None:
        if self.tower_xy is None:
            return None
        x, y = self.centre(row, col)
        return math.hypot(x - self.tower_xy[0], y - self.tower_xy[1])

    # --- one day ---

    def _cube(self, day: dt.date) -> xr.Dataset:
        cube = self.store.map(pd.Timestamp(day)).load()
        return cube.squeeze("time") if "time" in cube.dims else cube

    @cached_property
    def scale(self) -> np.ndarray:
        """(feature,) float32: value = int8 * scale."""
        return self._maps["scale"].values.astype("float32")

    @cached_property
    def weather(self) -> xr.Dataset | None:
        """Daily weather of the scene, in memory."""
        node = self._node("weather")
        return node if node is None else node.load()

    def _predict_map(self, day: dt.date) -> xr.Dataset:
        return self.predict(self.cube(day).expand_dims(time=[pd.Timestamp(day)]), self.weather).isel(time=0)

    def _picture(self, layer: str, day: dt.date | None, *detail) -> Picture:
        """The layer on that day, as ``State.question`` asks; layers of one day share one read of the store."""
        if layer in ("similar", "clusters", "labels"):
            return getattr(self.alike, layer)(day, *detail)
        feature = detail[0] if detail else 0
        look = self.look(layer, feature)
        if layer == "true":
            values, clear, seen = self._photo(self._nearest_photo(day))
            apart = (seen.normalize() - pd.Timestamp(day)).days
            when = "that day" if not apart else f"{abs(apart)} d {'later' if apart > 0 else 'earlier'}"
            return Picture(values, look, f"Sentinel-2 as seen on {fmt(seen)}, {when}", ~clear)
        cube = self.cube(day)
        if layer == "pca":
            weights, mean = self.components
            onto = (weights * self.scale[:, None]).astype("float32")
            values = cube.embedding.values.astype("float32") @ onto - mean @ weights
        elif layer == "feature":
            values = cube.embedding.isel(feature=feature).values * self.scale[feature]
        elif layer == "gpp":
            values = self._gpp_map(day).gpp.values
        elif layer == "width":
            values = self._gpp_map(day).gpp_hi.values - self._gpp_map(day).gpp_lo.values
        elif layer == "sigma":
            values = cube.sigma.values
        else:
            values = np.where(cube.days_from_s2.values < 0, np.nan, cube.days_from_s2.values)
        values = values.astype("float32", copy=False).reshape(self.grid.ny, self.grid.nx, -1)
        return Picture(values, look, fmt(day))

    # --- one stretch for all days ---

    @cached_property
    def sample(self) -> xr.Dataset:
        """A few days and pixels, evenly spread over the period and the scene."""
        picks = np.unique(np.linspace(0, len(self.days) - 1, SAMPLE_DAYS).round().astype(int))
        step = {"y": max(1, self.grid.ny // SAMPLE_SIDE), "x": max(1, self.grid.nx // SAMPLE_SIDE)}
        thin = {dim: slice(n // 2, None, n) for dim, n in step.items()}
        cubes = [self._maps.isel(time=int(i), **thin).load() for i in picks]
        return xr.concat(
            cubes, dim="time", data_vars="all", coords="minimal", compat="override", join="override"
        )

    @cached_property
    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Principal components of the sample: (feature, 3) weights and (feature,) mean, signs fixed.

        The largest loading of each component is positive, so that two runs never swap colours.
        """
        sample = self.sample.embedding.values.reshape(-1, len(self.features)) * self.scale
        mean = sample.mean(0)
        _, vectors = np.linalg.eigh(np.cov((sample - mean).T.astype("float64")))
        weights = vectors[:, ::-1][:, :3]
        weights = weights * np.sign(weights[np.abs(weights).argmax(0), range(weights.shape[1])])
        return weights.astype("float32"), mean.astype("float32")

    @cached_property
    def _pca_stretch(self) -> tuple[tuple, tuple]:
        weights, mean = self.components
        sample = self.sample.embedding.values.reshape(-1, len(self.features)) * self.scale
        low, high = np.percentile((sample - mean) @ weights, [1, 99], axis=0)
        return tuple(low.tolist()), tuple(high.tolist())

    @cached_property
    def _gpp_stretch(self) -> tuple[float, float]:
        """Upper ends for GPP and for the width of its band, whole gC m-2 d-1."""
        guess = self.predict(self.sample.transpose("time", "y", "x", "feature", ...), self.weather)
        top = np.nanpercentile(guess.gpp.values, 99.5)
        width = np.nanpercentile((guess.gpp_hi - guess.gpp_lo).values, 99)
        return max(1.0, math.ceil(top)), max(1.0, math.ceil(width))

    def look(self, layer: str, feature: int = 0) -> Look:
        """The layer's colours, the same for every day."""
        if layer == "true":
            return Look(
                "True colour", "reflectance", ("B04", "B03", "B02"), (0.0,) * 3, (0.24, 0.22, 0.20), gamma=0.7
            )
        if layer == "pca":
            low, high = self._pca_stretch
            return Look("Embedding, first three components", "", ("PC1", "PC2", "PC3"), low, high)
        if layer == "feature":
            name = self.features[feature]
            sample = np.abs(self.sample.embedding.isel(feature=feature).values * self.scale[feature])
            top = float(f"{max(np.percentile(sample, 99), 1e-6):.2g}")
            return Look(f"Feature {name}", "", (name,), (-top,), (top,), palette="CET_CBD1")
        if layer == "gpp":
            return Look("GPP", "gC m⁻² d⁻¹", ("gpp",), (0.0,), (self._gpp_stretch[0],), palette="CET_CBL2")
        if layer == "width":
            return Look(
                "Width of the 90 % band",
                "gC m⁻² d⁻¹",
                ("gpp_hi−gpp_lo",),
                (0.0,),
                (self._gpp_stretch[1],),
                palette="CET_CBL1",
            )
        if layer == "sigma":
            top = math.ceil(np.nanpercentile(self.sample.sigma.values, 99) * 100) / 100
            return Look(
                "Sigma, expected reflectance error",
                "",
                ("sigma",),
                (0.0,),
                (max(top, 0.01),),
                palette="CET_CBL1",
            )
        return Look(
            "Days to the nearest clear Sentinel-2 view", "d", ("days",), (0.0,), (30.0,), palette="CET_CBL1"
        )

    # --- true colour ---

    @cached_property
    def _s2(self) -> xr.Dataset | None:
        return self._node("s2")

    @property
    def _rgb_bands(self) -> list[str]:
        wanted = ["B04", "B03", "B02"]
        return wanted if self._s2 is not None and set(wanted) <= set(self._s2.band.values.tolist()) else []

    @cached_property
    def _clear_share(self) -> np.ndarray:
        """Share of clear pixels of every acquisition, from a thinned grid."""
        thin = {dim: slice(None, None, max(1, self._s2.sizes[dim] // 128)) for dim in ("y", "x")}
        return self._s2["clear"].isel(thin).mean(("y", "x")).values

    def _nearest_photo(self, day: dt.date) -> int:
        """The acquisition nearest to the day among those 90 % clear, or as clear as the scene ever gets."""
        share = self._clear_share
        good = np.flatnonzero(share >= min(0.9, share.max()))
        apart = np.abs(self._s2.time.values[good] - np.datetime64(pd.Timestamp(day) + pd.Timedelta(hours=12)))
        return int(good[apart.argmin()])

    def _read_photo(self, index: int):
        shot = self._s2.isel(time=index)
        values = shot["reflectance"].sel(band=self._rgb_bands).transpose("y", "x", "band").values
        clear, seen = shot["clear"].values, pd.Timestamp(shot.time.values)
        return self._upon_grid(values), self._upon_grid(clear), seen

    def _upon_grid(self, array: np.ndarray) -> np.ndarray:
        """Repeats coarser pixels onto the cube's grid."""
        times = (max(1, self.grid.ny // array.shape[0]), max(1, self.grid.nx // array.shape[1]))
        return array.repeat(times[0], axis=0).repeat(times[1], axis=1)[: self.grid.ny, : self.grid.nx]

    # --- one pixel ---

    @cached_property
    def ndvi(self) -> xr.Dataset | None:
        """NDVI and the mask of every acquisition, in memory where it fits."""
        bands = set(self._s2.band.values.tolist()) if self._s2 is not None else set()
        near = next((b for b in ("B08", "B8A") if b in bands), None)
        if near is None or "B04" not in bands:
            return None
        red, nir = (self._s2["reflectance"].sel(band=b, drop=True) for b in ("B04", near))
        small = red.nbytes <= HELD_IN_MEMORY
        red, nir = (red.load(), nir.load()) if small else (red, nir)
        total = nir + red
        ndvi = ((nir - red) / total.where(total > 0.01)).astype("float32")
        clear = self._s2["clear"].load() if small else self._s2["clear"]
        return xr.Dataset({"ndvi": ndvi, "clear": clear})

    def _pixel(self, row: int, col: int) -> xr.Dataset:
        """Everything the charts show of one pixel, on daily ``time`` and on Sentinel-2's ``acquisition``."""
        cube = self.store.series(row, col).load()
        weights, mean = self.components
        pc = cube.embedding.transpose("time", "feature").values * self.scale @ weights - mean @ weights
        out = xr.Dataset(
            {"pc": (("time", "component"), pc.astype("float32"), {"long_name": "principal component"})},
            coords={"time": self.days, "component": ["PC1", "PC2", "PC3"][: pc.shape[1]]},
        )
        for name in ("sigma", "days_from_s2", "days_from_s1"):
            out[name] = ("time", cube[name].values)
        if self.predict:
            guess = self.predict(cube, self.weather)
            for name in ("gpp", "gpp_lo", "gpp_hi"):
                out[name] = ("time", guess[name].values.astype("float32"), {"units": "gC m-2 d-1"})
            steps = cube.embedding.transpose("time", "feature").values
            out["with_gpp"] = ("feature", correlation(steps, out.gpp.values), {"long_name": "correlation"})
        if self.ndvi is not None:
            x, y = self.centre(row, col)
            seen = self.ndvi.sel(x=x, y=y, method="nearest").load()
            out = out.assign_coords(acquisition=seen.time.values)
            out["ndvi"] = ("acquisition", seen.ndvi.values)
            out["clear"] = ("acquisition", seen.clear.values)
        x, y = self.centre(row, col)
        return out.assign(self.radar({"x": x, "y": y})).assign_attrs(row=row, col=col)

    def series(self, place: Place) -> xr.Dataset:
        """What the charts show of a place, pixel or area."""
        return self.area(place.area) if place.area else self.pixel(place.row, place.col)

    @cached_property
    def _s1(self) -> xr.DataArray | None:
        """Backscatter, in memory where it fits."""
        node = self._node("s1")
        if node is None:
            return None
        found = node["backscatter"]
        return found.load() if found.nbytes <= HELD_IN_MEMORY else found

    @property
    def has_radar(self) -> bool:
        return self._s1 is not None

    def radar(self, at: dict) -> dict:
        """VV and VH, dB, of each ``passage`` over a place, or the mean over several."""
        if self._s1 is None:
            return {}
        seen = self._s1.sel(at, method="nearest").load()
        power = 10 ** (seen / 10)
        seen = 10 * np.log10(power.mean("pixel")) if "pixel" in seen.dims else seen
        bands = [band for band in ("VV", "VH") if band in seen.band.values]
        columns = {band: ("passage", seen.sel(band=band).values) for band in bands}
        return {"passage": pd.DatetimeIndex(seen.time.values)} | columns

    def warm(self) -> None:
        """Does once what the first tap and the first map would otherwise wait for."""
        for layer in set(self.layers) - {"similar", "clusters", "labels"}:
            self.look(layer)
        self.picture("pca", self.first)
        self.pixel(*self.start)


def correlation(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of each column of (time, column) with ``values`` (time), -1..1; 0 where one of them never changes."""
    columns, values = columns - columns.mean(0, dtype="float64"), values - values.mean(dtype="float64")
    spread = np.sqrt((columns**2).sum(0) * (values**2).sum())
    return np.divide(values @ columns, spread, out=np.zeros(columns.shape[1]), where=spread > 0)


def usual(tower: xr.Dataset) -> dict[str, xr.DataArray]:
    """`gpp_usual`: each year's day-of-year climatology of the tower's *other* years; nothing for a single year."""
    from embeddings.baselines import other_years

    if "gpp_nt" not in tower or len(set(tower.time.dt.year.values.tolist())) < 2:
        return {}
    return {"gpp_usual": other_years(tower.gpp_nt)}
