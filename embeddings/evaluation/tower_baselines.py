"""Baselines of GPP at one tower, each with its split: day-of-year climatology, NIRv x light, P-model.

The command line and the tower's page score the model beside these lines. Nothing is fitted to the days it is scored on:
k of NIRv x light comes from the tower's other years, or from other towers where those are too short.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import climatology
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.gpp import baselines, cubes
from fluxlens.embeddings.gpp.tower_light_use import light_use_of_other_towers
from fluxlens.embeddings.towers import footprint, periods
from fluxlens.models.errors import InputError

MODEL = "model"
LABELS = {MODEL: "model", "day_of_year": "day of year", "nirv": "NIRv x light", "p_model": "P-model"}
"""The prediction and its baselines, as tables call them."""
SPLITS = {
    MODEL: "leave-site-out: not trained on this tower",
    "day_of_year": "leave-year-out: the tower's other years",
    "nirv": "leave-year-out: k fitted in the tower's other years",
    "p_model": "nothing fitted: published constants",
}
"""What each line was fitted to, where nothing hinders that; a line made otherwise says how."""
LEAST_CLEAR_SHARE = 0.5
"""Of the weights of a footprint: an acquisition with less of it clear has no mean."""
LEAST_TRAINING_DAYS = 90
"""Measured days of other years from which k is fitted: a season. A factor of a few winter days would make a baseline
that anything beats."""
K_UNIT = "gC m-2 d-1 per W m-2"
DRIVER_WORDS = {
    "sw_in": "shortwave radiation (sw_in)",
    "tair": "air temperature (tair)",
    "vpd": "vapour pressure deficit (vpd)",
}


@dataclass(frozen=True)
class BaselineInputs:
    """What baselines are made of beside the tower itself."""

    s2: xr.Dataset | None
    """``reflectance`` (time, band, y, x) 0-1 and ``clear`` (time, y, x); None without Sentinel-2."""
    weather: xr.Dataset | None
    """Daily (time) ``sw_in`` W m-2, ``tair`` degC, ``vpd`` hPa; any of them may be missing."""
    weights: xr.DataArray
    """(pixel,) of the pixels that stand for the tower, sum 1, with coordinates x and y in m of the scene's CRS."""

    @classmethod
    def from_scene(
        cls, scene: xr.DataTree | None, grid: Grid, lon: float, lat: float, radius_m: float | None = None
    ) -> BaselineInputs:
        """Of a pixel, or of the disc around a tower.

        Parameters
        ----------
        scene
            Sentinel-2 and weather, of the scene contract; None where a store carries none.
        grid
            Of the embeddings.
        lon, lat
            Of the tower, degrees.
        radius_m
            10 to 5000 m; None for the tower's own pixel.
        """
        if radius_m is None:
            row, col = grid.pixel(lon, lat)
            rows, cols, share = np.array([row]), np.array([col]), np.ones(1)
        else:
            disc = footprint.disc(grid, lon, lat, radius_m).values
            rows, cols = np.nonzero(disc)
            share = disc[rows, cols] / disc.sum()
        nodes = {} if scene is None else scene.children
        s2, weather = (nodes[name].to_dataset() if name in nodes else None for name in ("s2", "weather"))
        return cls(s2, weather, weights_of_pixels(grid, rows, cols, share))

    @cached_property
    def mean_clear_reflectance(self) -> xr.DataArray:
        """Reflectance over the pixels, of acquisitions that see half of the weights or more without cloud; read once.

        Returns
        -------
        DataArray
            (time, band) of red and near infrared, 0-1, one acquisition a day; NaN where masked.

        Raises
        ------
        InputError
            Without red and near infrared.
        """
        known = [] if self.s2 is None else [str(name) for name in self.s2["band"].values]
        bands = [band for band in ("B04", "B8A", "B08") if band in known]
        if "B04" not in bands or len(bands) < 2:
            raise InputError("Got a scene without red and near infrared, need both; add B04 and B8A or B08.")
        # Nearest and not exact: sensors of 20 m have their own grid.
        # Indexers on `pixel` pick its pixels one by one; each on its own dim would give the box around them.
        at = {name: self.weights[name].drop_vars(("x", "y")) for name in ("x", "y")}
        # (time, band, pixel) and (time, pixel)
        spectra, clear = (
            values.sel(at, method="nearest").load()
            for values in (self.s2["reflectance"].sel(band=bands), self.s2["clear"])
        )
        mean = weighted_mean(spectra.where(clear), self.weights)
        return mean.assign_coords(time=mean.indexes["time"].normalize()).drop_duplicates("time")

    def daily_weather(self, names: tuple[str, ...], days: pd.DatetimeIndex) -> xr.Dataset:
        """Weather from the first of some days to the last.

        Parameters
        ----------
        names
            Variables needed.
        days
            At midnight, in order.

        Returns
        -------
        Dataset
            (time,) W m-2, degC, hPa.

        Raises
        ------
        InputError
            Without one of them.
        """
        missing = [name for name in names if self.weather is None or name not in self.weather]
        if missing:
            words = ", ".join(DRIVER_WORDS[name] for name in missing)
            raise InputError(f"Got a scene without {words}, need it; add the weather.")
        return self.weather[list(names)].sel(time=slice(days[0], days[-1])).load()


@dataclass(frozen=True)
class Baseline:
    """GPP of one baseline, gC m-2 d-1."""

    daily: xr.DataArray
    """(time,) of days, to be drawn; of the climatology of a weekly or monthly tower, at the tower's times."""
    values: xr.DataArray
    """(time,) at the tower's times: days, or means over its weeks or months."""
    split: str
    """What it was fitted to."""
    note: str = ""
    """A sentence where that is otherwise than usual."""


@dataclass(frozen=True)
class TowerBaselines:
    """The baselines that could be made, and why others could not."""

    lines: dict[str, Baseline] = field(default_factory=dict)
    """By the names of ``LABELS``."""
    missing: dict[str, str] = field(default_factory=dict)
    """By name the sentence that says what is needed."""


def fit(
    observed: xr.DataArray, tower: xr.Dataset, days: pd.DatetimeIndex, inputs: BaselineInputs | None
) -> TowerBaselines:
    """All baselines of a tower.

    Parameters
    ----------
    observed
        (time,) measured GPP of the quality asked for, gC m-2 d-1, NaN elsewhere; all of the tower's times.
    tower
        Of ``towers.read``: daily, weekly or monthly.
    days
        Days of the prediction, at midnight.
    inputs
        Land and weather; None where only the tower is known.

    Returns
    -------
    TowerBaselines
        One that lacks an input is named with its reason; the others still stand beside the model.
    """
    makers = {"day_of_year": lambda: _climatology(observed, tower)}
    if inputs is not None:
        makers["nirv"] = lambda: _nirv_x_light(observed, tower, days, inputs)
        makers["p_model"] = lambda: _p_model(tower, days, inputs)
    lines, missing = {}, {}
    for name, make in makers.items():
        try:
            line = make()
            if not np.isfinite(line.daily).any():
                raise InputError("Got no day with all of its inputs, need some; give more.")
        except InputError as error:
            missing[name] = str(error)
            continue
        lines[name] = line
    return TowerBaselines(lines, missing)


def weights_of_pixels(grid: Grid, rows: np.ndarray, cols: np.ndarray, share: np.ndarray) -> xr.DataArray:
    """Weights of some pixels, as ``BaselineInputs`` takes them.

    Parameters
    ----------
    grid
        Of the embeddings.
    rows, cols
        (pixel,) indices in it.
    share
        (pixel,) sum 1.
    """
    places = {"x": ("pixel", grid.x[cols]), "y": ("pixel", grid.y[rows])}
    return xr.DataArray(share, places, "pixel")


def weighted_mean(values: xr.DataArray, weights: xr.DataArray) -> xr.DataArray:
    """Mean over ``pixel``; NaN where pixels with less than ``LEAST_CLEAR_SHARE`` of the weight are known.

    Parameters
    ----------
    values
        (pixel, ...), NaN where unknown.
    weights
        (pixel,) sum 1.
    """
    weights = weights.drop_vars(("x", "y"), errors="ignore")
    # Days on which clouds hide most of the footprint have no mean.
    share = (values.notnull() * weights).sum("pixel")
    return (values.fillna(0) * weights).sum("pixel") / share.where(share >= LEAST_CLEAR_SHARE)


def model_split(attrs: dict, tower: xr.Dataset) -> str:
    """Whether the head of a prediction was trained on a tower, or calibrated; its score there is then no test.

    Parameters
    ----------
    attrs
        Of the prediction: ``gpp_head_digest``, and ``gpp_calibration`` where it was calibrated.
    tower
        Any variables (time); its attribute ``site`` is looked for.

    Returns
    -------
    str
        Without units.
    """
    if attrs.get("gpp_calibration"):
        # Without the digest at the end of the label, which tells readers nothing.
        return f"not independent: calibrated with {str(attrs['gpp_calibration']).rsplit(';', 1)[0]}"
    site, card = str(tower.attrs.get("site", "")), _card_of(str(attrs.get("gpp_head_digest", "")))
    if card is None:
        return "not known: the prediction does not say which head it is of"
    if site in {one for sites in card.get("measured_towers", {}).values() for one in sites}:
        return "not independent: the head was trained on this tower among others"
    return SPLITS[MODEL] if site else f"{SPLITS[MODEL]}, if it is none of those that have a site code"


def _card_of(digest: str) -> dict | None:
    """Card of the shipped GPP head with a digest; None where there is none."""
    # Here, since it imports torch, which the tower's page does without until something is predicted.
    from fluxlens.models import checkpoints

    for path in ("default", *(checkpoints.WEIGHTS / name for name in cubes.EARLIER_WEIGHTS)):
        head = cubes.load(path)
        if head.digest == digest:
            return head.card
    return None


# --- the baselines ---


def _climatology(observed: xr.DataArray, tower: xr.Dataset) -> Baseline:
    """Mean of the tower's other years on the same day, or in the same week or month."""
    if len(np.unique(observed.dropna("time")["time"].dt.year)) < 2:
        raise InputError("Got a tower that measured in one year, need two or more; load a longer file.")
    scale = str(tower.attrs.get("resolution", "daily"))
    if scale in periods.SCALES:
        values = periods.other_years(observed, scale)
    else:
        values = climatology.leave_year_out_climatology(observed)
    return Baseline(values, values, SPLITS["day_of_year"])


def _nirv_x_light(
    observed: xr.DataArray, tower: xr.Dataset, days: pd.DatetimeIndex, inputs: BaselineInputs
) -> Baseline:
    """k x NIRv x shortwave radiation (Badgley et al. 2017), k of each year fitted in the others."""
    sw_in = inputs.daily_weather(("sw_in",), days)["sw_in"]
    nirv = climatology.interpolate_daily(baselines.nirv(inputs.mean_clear_reflectance), sw_in["time"])
    light = (nirv * sw_in).rename("light")  # (day,) W m-2
    # A week's or month's GPP belongs to its mean light, not to the light of the day in its stamp.
    light_at_tower = periods.align(light, tower).values
    measured = observed.values
    first, last = tower.indexes["time"].normalize(), periods.last_days(tower)
    usable = np.isfinite(light_at_tower) & np.isfinite(measured)
    # Counted in days, so that ten weeks are as much to learn from as seventy days.
    lengths = (last - first).days.values + 1
    k_of_year = {}
    for year in np.unique(sw_in["time"].dt.year):
        # A week across new year is of both: it fits neither of them.
        training = usable & (first.year.values != year) & (last.year.values != year)
        if lengths[training].sum() < LEAST_TRAINING_DAYS or not (light_at_tower[training] > 0).any():
            return _nirv_of_other_towers(light, tower)
        k_of_year[year] = baselines.slope_through_origin(light_at_tower[training], measured[training])
    # Each day takes the k that the other years gave: none of its own year's measurements is in it.
    line = light * [k_of_year[year] for year in light["time"].dt.year.values]
    low, high = min(k_of_year.values()), max(k_of_year.values())
    between = f"{low:.3f}" if f"{low:.3f}" == f"{high:.3f}" else f"{low:.3f} to {high:.3f}"
    return Baseline(line, periods.align(line, tower), f"{SPLITS['nirv']}, {between} {K_UNIT}")


def _nirv_of_other_towers(light: xr.DataArray, tower: xr.Dataset) -> Baseline:
    """Where the tower has no other year to learn from: k must come from other days than those it predicts."""
    factor = light_use_of_other_towers(str(tower.attrs.get("site", "")))
    line = factor.k * light
    return Baseline(
        line,
        periods.align(line, tower),
        f"leave-site-out: k = {factor.k:.3f} {K_UNIT}, fitted at {factor.towers} other towers",
        f"{LABELS['nirv']} has its factor, {factor.k:.3f} {K_UNIT}, from {factor.towers} other towers: of this one"
        f" fewer than {LEAST_TRAINING_DAYS} measured days lie in other years of the scene, too few to fit it to.",
    )


def _p_model(tower: xr.Dataset, days: pd.DatetimeIndex, inputs: BaselineInputs) -> Baseline:
    """The P-model with fAPAR from NDVI; nothing is fitted."""
    weather = inputs.daily_weather(("sw_in", "tair", "vpd"), days)
    clear = inputs.mean_clear_reflectance
    red, nir = clear.sel(band="B04"), clear.sel(band="B8A" if "B8A" in clear["band"].values else "B08")
    ndvi = climatology.interpolate_daily((nir - red) / (nir + red).where(nir + red > 0), weather["time"])
    drivers = (weather[name].values for name in ("sw_in", "tair", "vpd"))
    values = baselines.p_model(baselines.fapar_from_ndvi(ndvi), *drivers)
    line = xr.DataArray(values, dims="time", coords={"time": weather["time"].values})
    return Baseline(line, periods.align(line, tower), SPLITS["p_model"])
