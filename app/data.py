"""Answers for the screen: what a store and its scene say about one day or one pixel."""

import copy
import datetime as dt
import math
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from app import areas, ground, tower
from app.alike import Alike
from app.held import Held
from app.pictures import QUICK_PX, WHOLE_PX, Look, Picture, Sight, apart, fmt, seen
from app.published import Published
from app.state import Place
from app.tower import FLUXES
from embeddings import analysis, cache, gpp_weather, progress
from embeddings.store import QUALITY

GAP_DAYS = 10
"""A stretch without a clear view longer than this many days is shaded in the charts."""
NEAR_TOWER_M = 500
"""A pixel this close to a tower is compared with it without a warning about distance."""
SAMPLE_DAYS, SAMPLE_SIDE = 16, 24
"""The sample behind every fixed stretch: that many days, that many pixels a side."""
HELD_IN_MEMORY = 512 * 2**20
"""Bytes of days read for maps; images for taps and true colour may take twice as many, larger ones are read anew."""
SAMPLE_WIDE = 1024
"""Of a scene wider than this many pixels the sample is taken in heaps."""
LOOKS = 4
"""Of a coarse view of an image at most that many pixels a side are averaged into one."""


def gaps(clear_times: pd.DatetimeIndex, first: pd.Timestamp, last: pd.Timestamp, longer_than: int = GAP_DAYS):
    """Stretches (start, end) inside first..last without a clear view for more than ``longer_than`` days."""
    edges = pd.DatetimeIndex([first, *clear_times[(clear_times > first) & (clear_times < last)], last])
    long = np.flatnonzero(np.diff(edges) > pd.Timedelta(days=longer_than))
    return [(edges[i], edges[i + 1]) for i in long]


class Data:
    """A store's answers, cached on small keys (day, layer, pixel), never on arrays; shared by all sessions.

    ``predict(cube, weather)`` gives gpp, gpp_lo, gpp_hi; without it, or without weather, there is no GPP.
    ``published`` are embeddings of others to compare with; ``unpublished`` says why there are none.
    """

    def __init__(
        self,
        store,
        predict: Callable | None = None,
        published: Published | None = None,
        unpublished: str = "",
    ):
        self.store, self.grid = store, store.grid
        self.published, self._unpublished = published, unpublished
        self._maps = store.cube("maps")
        self.scene = store.scene()
        self.predict = predict if predict and self._node("weather") is not None else None
        self._cubes = Held(self._cube, HELD_IN_MEMORY)
        self._pictures = Held(self._picture, HELD_IN_MEMORY // 2)
        self.pixel = lru_cache(maxsize=256)(self._pixel)
        self.area = lru_cache(maxsize=32)(partial(areas.series, self))
        self._own_tower()
        self._gpp_map = Held(self._predict_map, HELD_IN_MEMORY // 4)
        self.alike = Alike(self)
        self._photo = Held(self._read_photo, HELD_IN_MEMORY // 2)
        self.wind: pd.DataFrame | None = None
        """Half-hours of the tower's wind, where its file has them."""
        self.given = ""
        """Name of the tower's file where a visitor gave it."""

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
        other.given = str(tower.attrs["source"])
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
        theirs = ["published"] if self.published is not None else []
        return [*photo, "pca", "feature", *theirs, *gpp, "similar", "clusters", "labels", "sigma", "gap"]

    @cached_property
    def absent(self) -> list[str]:
        """Why something is not on this screen, one sentence each."""
        found = [str(band) for band in self._s2.band.values] if self._s2 is not None else []
        has = f"this scene has {', '.join(found)}" if found else "this store carries no Sentinel-2"
        told = []
        if not self._rgb_bands:
            told.append(f"No true colour: it needs B04, B03 and B02, {has}.")
        if not self.has_ndvi:
            told.append(f"No NDVI: it needs B04 (red) and B08 or B8A (near infrared), {has}.")
        if self.predict is None:
            why = "the store carries no weather" if self._node("weather") is None else "another model made it"
            told.append(f"No GPP: {why}.")
        if self._unpublished:
            told.append(self._unpublished)
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

    @cached_property
    def overview(self) -> Sight | None:
        """All of a scene too large to be shown pixel by pixel; None where it is not."""
        ny, nx = self.grid.shape
        return seen((ny, nx), (0, ny), (0, nx), QUICK_PX) if max(ny, nx) > WHOLE_PX else None

    # --- one day ---

    def cube(self, day: dt.date, sight: Sight | None = None, quality: bool = True) -> xr.Dataset:
        """One day of the whole scene, or of a sight, there without quality where it is not asked for."""
        return self._cubes(day, sight, quality or sight is None)

    def _cube(self, day: dt.date, sight: Sight | None, quality: bool) -> xr.Dataset:
        if sight is not None:
            return self.store.tile(day, sight.level, sight.rows, sight.cols, quality)
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

    def _predict_map(self, day: dt.date, sight: Sight | None) -> xr.Dataset:
        cube = self.cube(day, sight).expand_dims(time=[pd.Timestamp(day)])
        # days are as long in every sight of a scene as in the whole
        return self.predict(cube.assign_coords(lat=self._latitude), self.weather).isel(time=0)

    @cached_property
    def _latitude(self) -> float:
        """Degrees north, of the middle of the scene."""
        return gpp_weather.latitude(xr.Dataset(coords=self.grid.coords(), attrs=self.attrs))

    def picture(self, layer: str, day: dt.date | None, *detail, sight: Sight | None = None) -> Picture:
        """The layer on that day, as ``State.question`` asks, of the whole scene or of a sight.

        Layers of one day share one read of the store.
        """
        return self._pictures(layer, day, detail, sight)

    def _picture(self, layer: str, day: dt.date | None, detail: tuple, sight: Sight | None) -> Picture:
        if layer in ("similar", "clusters", "labels"):
            return getattr(self.alike, layer)(day, *detail, sight=sight)
        if layer == "published":
            return self.published.picture(day, sight)
        feature = detail[0] if detail else 0
        look = self.look(layer, feature)
        if layer == "true":
            values, clear, seen = self._photo(self._nearest_photo(day), sight)
            return Picture(values, look, f"Sentinel-2 as seen on {apart(seen, day)}", ~clear)
        if layer in ("gpp", "width"):
            found = self._gpp_map(day, sight)
            values = found.gpp.values if layer == "gpp" else found.gpp_hi.values - found.gpp_lo.values
        else:
            cube = self.cube(day, sight, quality=layer not in ("pca", "feature"))
        if layer == "pca":
            weights, mean = self.components
            onto = (weights * self.scale[:, None]).astype("float32")
            values = analysis.project(cube.embedding.values, onto, -mean @ weights)
        elif layer == "feature":
            values = cube.embedding.isel(feature=feature).values * self.scale[feature]
        elif layer == "sigma":
            values = cube.sigma.values
        elif layer == "gap":
            values = np.where(cube.days_from_s2.values < 0, np.nan, cube.days_from_s2.values)
        values = values.astype("float32", copy=False)
        return Picture(values.reshape(*values.shape[:2], -1), look, fmt(day))

    # --- one stretch for all days ---

    @cached_property
    def sample(self) -> xr.Dataset:
        """A few days and pixels, evenly spread over the period and the scene."""
        picks = np.unique(np.linspace(0, len(self.days) - 1, SAMPLE_DAYS).round().astype(int))
        thin = {"y": _spread(self.grid.ny), "x": _spread(self.grid.nx)}
        found = self._maps.isel(time=picks).isel(thin)
        if self.overview is None:
            days = [self.store.map(day).isel(thin) for day in self.days[picks]]
            return found.copy(data={name: np.stack([day[name].values for day in days]) for name in found})
        # of a large scene it takes seconds, so it is kept for the next start
        name = cache.key("sample", self.store.snapshot, picks.tolist(), thin)
        with np.load(progress.run(cache.build_once(name, lambda path: _keep(found, path)))) as kept:
            return found.copy(data=dict(kept))

    @cached_property
    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Principal components of the sample: (feature, 3) weights and (feature,) mean."""
        return analysis.principal(self.sample.embedding.values.reshape(-1, len(self.features)) * self.scale)

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
    def _near(self) -> str | None:
        """The band of near infrared that is shown, the finer one first."""
        bands = [] if self._s2 is None else self._s2.band.values
        return next((band for band in ("B08", "B8A") if band in bands), None)

    @cached_property
    def _images(self) -> tuple[xr.DataArray, xr.DataArray]:
        """Reflectance in the bands that are shown, and where it is clear; in memory once ``keep`` has run."""
        bands = [band for band in ("B02", "B03", "B04", self._near) if band in self._s2.band.values]
        return self._s2["reflectance"].sel(band=bands), self._s2["clear"]

    @cached_property
    def _photos(self) -> dict[int, xr.Dataset]:
        """Coarser images of a wide scene, by how many of its pixels a side are one."""
        return self.store.true_colour_overviews()

    @cached_property
    def _clear_share(self) -> np.ndarray:
        """Share of clear pixels of every acquisition, from the coarsest images or a thinned grid."""
        if self._photos:
            return self._photos[max(self._photos)].clear.mean(("y", "x")).values
        thin = {dim: slice(None, None, max(1, self._s2.sizes[dim] // 128)) for dim in ("y", "x")}
        return self._images[1].isel(thin).mean(("y", "x")).values

    def _nearest_photo(self, day: dt.date) -> int:
        """The acquisition nearest to the day among those 90 % clear, or as clear as the scene ever gets."""
        share = self._clear_share
        good = np.flatnonzero(share >= min(0.9, share.max()))
        apart = np.abs(self._s2.time.values[good] - np.datetime64(pd.Timestamp(day) + pd.Timedelta(hours=12)))
        return int(good[apart.argmin()])

    def _read_photo(self, index: int, sight: Sight | None):
        """Reflectance (y, x, band), whether clear (y, x), and when."""
        images, clear = self._images
        seen = pd.Timestamp(clear.time.values[index])
        images = images.sel(band=self._rgb_bands)
        if sight is not None:
            finer = sight.level * self._s2.sizes["x"] / self.grid.nx
            level = max((n for n in self._photos if n <= finer), default=0)
            if level:
                images, clear = self._photos[level]["reflectance"], self._photos[level]["clear"]
        values, clear = images.isel(time=index).transpose("y", "x", "band"), clear.isel(time=index)
        shape = self.grid.shape
        if sight is not None:
            shape = sight.bottom - sight.top, sight.right - sight.left
            sides = tuple(zip(self.grid.shape, (sight.rows, sight.cols), strict=True))
            values, clear = (_in_sight(part, sides, sight.level) for part in (values, clear))
        return _upon(np.asarray(values), shape), _upon(np.asarray(clear) > 0.5, shape), seen

    # --- one pixel ---

    @property
    def has_ndvi(self) -> bool:
        return self._near is not None and "B04" in self._s2.band.values

    def clear(self, at: dict) -> xr.DataArray:
        """Whether each acquisition saw a place clearly."""
        return self._images[1].sel(at, method="nearest").load()

    def ndvi(self, at: dict) -> xr.DataArray:
        """NDVI of a place in every acquisition, clear or not."""
        seen = self._images[0].sel(at, method="nearest").sel(band=["B04", self._near]).load()
        red, nir = (seen.sel(band=band, drop=True) for band in ("B04", self._near))
        total = nir + red
        return ((nir - red) / total.where(total > 0.01)).astype("float32")

    @cached_property
    def _reader(self):
        """The model that can read reflectance off this store's embeddings."""
        from embeddings import reconstruct

        return reconstruct.load_decoder(self.attrs) if self.has_ndvi else None

    def ndvi_told(self, cube: xr.Dataset) -> np.ndarray | None:
        """NDVI of every day as the embeddings tell it, in the cube's dims less `feature`; None if unreadable."""
        if self._reader is None:
            return None
        from embeddings import reconstruct

        red, nir = reconstruct.decode_reflectance(cube, self._reader, ("B04", self._near)).values.T
        return ((nir - red) / np.maximum(nir + red, 0.01)).T

    def _pixel(self, row: int, col: int) -> xr.Dataset:
        """Everything the charts show of one pixel, on daily ``time`` and on Sentinel-2's ``acquisition``."""
        cube = self.store.series(row, col).load()
        weights, mean = self.components
        pc = cube.embedding.transpose("time", "feature").values * self.scale @ weights - mean @ weights
        coords = {"time": self.days, "component": ["PC1", "PC2", "PC3"][: pc.shape[1]]}
        out = {"pc": (("time", "component"), pc.astype("float32"), {"long_name": "principal component"})}
        out |= {name: ("time", cube[name].values) for name in QUALITY}
        if self.predict:
            guess = self.predict(cube, self.weather)
            for name in ("gpp", "gpp_lo", "gpp_hi"):
                out[name] = ("time", guess[name].values.astype("float32"), {"units": "gC m-2 d-1"})
            steps = cube.embedding.transpose("time", "feature").values
            told = correlation(steps, out["gpp"][1])
            out["with_gpp"] = ("feature", told, {"long_name": "correlation"})
        x, y = self.centre(row, col)
        if self.has_ndvi:
            at = {"x": x, "y": y}
            coords["acquisition"] = self._s2.time.values
            out |= {
                "ndvi": ("acquisition", self.ndvi(at).values),
                "clear": ("acquisition", self.clear(at).values),
            }
            if (told := self.ndvi_told(cube)) is not None:
                out["ndvi_told"] = ("time", told, {"long_name": "NDVI read off the embedding"})
        # all at once: each variable added by itself would be aligned with all others anew
        return xr.Dataset(out | self.radar({"x": x, "y": y}), coords, {"row": row, "col": col})

    def series(self, place: Place) -> xr.Dataset:
        """What the charts show of a place, pixel or area."""
        return self.area(place.area) if place.area else self.pixel(place.row, place.col)

    @cached_property
    def _s1(self) -> xr.DataArray | None:
        """Backscatter, in memory once ``keep`` has run."""
        node = self._node("s1")
        return None if node is None else node["backscatter"]

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
        self.picture("pca", self.first, sight=self.overview)
        self.pixel(*self.start)

    def keep(self) -> None:
        """Reads the images into memory where they fit; until then every tap reads its own."""
        if self._s1 is not None and self._s1.nbytes <= HELD_IN_MEMORY:
            self._s1.load()
        if self._s2 is not None and self._images[0].nbytes <= 2 * HELD_IN_MEMORY:
            for part in self._images:
                part.load()


def _keep(found: xr.Dataset, path: Path) -> progress.Steps[None]:
    """Numbers of a sample in a file."""
    yield "reading a sample of the scene", 0.0
    with path.open("wb") as file:
        np.savez(file, **{name: array.values for name, array in found.load().items()})


def _spread(size: int) -> slice | np.ndarray:
    """Pixels of the sample along one side; of a large scene a few beside each other, so that few chunks are read."""
    step = max(1, size // SAMPLE_SIDE)
    if size <= SAMPLE_WIDE:
        return slice(step // 2, None, step)
    heaps = np.linspace(0, size - 1, 2 * (SAMPLE_SIDE // 4) + 1)[1::2].astype(int)
    return (heaps[:, None] // 128 * 128 + np.arange(16, 128, 32)).clip(0, size - 1).ravel()


def _in_sight(array: xr.DataArray, sides: tuple, level: int) -> np.ndarray:
    """A part of an image (y, x, ...), each block of pixels averaged to one, of a large one ``LOOKS`` pixels a side."""
    blocks = []
    for dim, (whole, part) in zip(("y", "x"), sides, strict=True):
        share = array.sizes[dim] / whole * level
        block = max(1, round(share))
        step = max(1, block // LOOKS)
        array = array.isel({dim: slice(int(part.start * share), int(np.ceil(part.stop * share)), step)})
        blocks.append(block // step)
    values = array.values.astype("float32")
    short = [(0, -n % block) for n, block in zip(values.shape, blocks, strict=False)]
    values = np.pad(values, short + [(0, 0)] * (values.ndim - 2), mode="edge")
    ny, nx = (n // block for n, block in zip(values.shape, blocks, strict=False))
    return values.reshape(ny, blocks[0], nx, blocks[1], *values.shape[2:]).mean((1, 3))


def _upon(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Repeats coarser pixels onto a grid."""
    times = [max(1, -(-n // held)) for n, held in zip(shape, array.shape, strict=False)]
    repeated = array.repeat(times[0], axis=0) if times[0] > 1 else array
    repeated = repeated.repeat(times[1], axis=1) if times[1] > 1 else repeated
    return repeated[: shape[0], : shape[1]]


def correlation(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of each column of (time, column) with ``values`` (time), -1..1; 0 where one of them never changes."""
    columns, values = columns - columns.mean(0, dtype="float64"), values - values.mean(dtype="float64")
    spread = np.sqrt((columns**2).sum(0) * (values**2).sum())
    return np.divide(values @ columns, spread, out=np.zeros(columns.shape[1]), where=spread > 0)


def usual(tower: xr.Dataset) -> dict[str, xr.DataArray]:
    """`gpp_usual`: each year's day-of-year climatology of the tower's *other* years; nothing for a single year."""
    from embeddings.climatology import leave_year_out_climatology

    if "gpp_nt" not in tower or len(set(tower.time.dt.year.values.tolist())) < 2:
        return {}
    return {"gpp_usual": leave_year_out_climatology(tower.gpp_nt)}
