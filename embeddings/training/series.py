"""Training batches of single pixels or plots: measured series tables, and pixels of scenes taken without neighbours.

Long on purpose: what a source holds, what is hidden of it and how it is padded must agree.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from fluxlens.embeddings.readers.series_table import SeriesTable
from fluxlens.embeddings.scenes.schema import S2_BANDS_10M
from fluxlens.embeddings.training.archive import PackedScene
from fluxlens.models.decoder import SEASON
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import HLS_BANDS, SENSORS
from fluxlens.models.training import SeriesBatch

SEASON_HALF_DAYS = 182
"""The season around a day is that of the acquisitions this near."""
SEASON_BIN_DAYS = 30
LEAST_SEASON_BINS = 6
"""Bins with an acquisition that the season needs: fewer show a part of the year."""
NEIGHBOUR_DAYS = 45
CONTAMINATED_RISE = 0.03
"""A date this much brighter in the visible than the median of the dates within ``NEIGHBOUR_DAYS`` is taken for
undetected cloud or snow: reflectance. The rule looks at measurements alone."""
CONTAMINATED_WEIGHT = 0.05
"""Weight of such dates as targets. As inputs they stay: the model must learn to distrust them."""
SCENE_PIXELS = 200
"""Pixels of a scene that are taken as series."""
LEAST_ACQUISITIONS = 4
"""Acquisitions of Sentinel-2 that a series needs for training."""
RADAR_DRAWS = 2
"""A measured source with Sentinel-1 is drawn this many times as often: few have it, and what radar tells of land must
be learned from measured radar."""
REFERENCE_MSE = 0.035**2
"""Squared error of linear interpolation at hidden dates at which a source counts one; a noisier source would decide
the training otherwise."""


@dataclass(frozen=True)
class HidingConfig:
    """What is hidden from a series and how often; ``..._share`` are shares of series, 0-1."""

    main: str = "s2"
    """Sensor whose hidden dates are queried; in stage one the only one."""
    queries: int = 12
    """Days queried per series."""
    window_days: tuple[int, int] = (120, 400)
    """Shortest and longest part of a series that is shown."""
    gap_share: float = 0.6
    """All Sentinel-2 within some days of a date hidden; else single dates."""
    gap_days: tuple[float, float] = (7.0, 75.0)
    """Shortest and longest half-width of such a gap, drawn uniformly in its logarithm."""
    most_shown: int = 45
    """Acquisitions of a sensor that are shown at most, drawn at random: time grows with their square."""
    few_share: float = 0.02
    """Only one to six acquisitions of Sentinel-2 left."""
    radar_absent_share: float = 0.4
    """Sentinel-1 absent where the series has it."""
    optical_absent_share: float = 0.05
    """Sentinel-2 absent where the series has Sentinel-1."""
    no_10m_share: float = 0.05
    hls_share: float = 0.05
    """Sentinel-2 without its 10 m bands; with those of Landsat alone."""
    visible_weight: float = 0.15
    """Weight of queried days whose acquisition is visible."""
    jitter_share: float = 0.1
    gain_std: float = 0.12
    offset_std: float = 0.3
    """Series whose bands get a gain and an offset on all dates, and how large: standard deviation of the log gain, and
    of the offset in the sensor's error scales."""


@dataclass(frozen=True)
class SeriesSource:
    """Series of one set: per sensor acquisitions sorted by series and day.

    Parameters
    ----------
    name
        Of the set; held-out sets are distinguished by it.
    edges
        Per sensor (series + 1,): acquisitions of series i are ``edges[i]:edges[i + 1]``.
    day
        Per sensor (n,) days since 1970-01-01 UTC.
    values
        Per sensor (n, band) in its unit, NaN where not measured.
    trusted
        Per sensor (n,) weight as a target, see ``CONTAMINATED_WEIGHT``.
    weight
        Of the source's targets, see ``REFERENCE_MSE``.
    """

    name: str
    edges: dict[str, np.ndarray]
    day: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    trusted: dict[str, np.ndarray]
    weight: float

    @property
    def count(self) -> int:
        """Number of series, the same for all sensors."""
        return len(next(iter(self.edges.values()))) - 1

    def only(self, sensor: str) -> SeriesSource | None:
        """The series of one sensor alone, as stage one learns from them.

        Parameters
        ----------
        sensor
            ``s2`` or ``s1``.

        Returns
        -------
        SeriesSource or None
            None where no series has ``LEAST_ACQUISITIONS`` of the sensor.
        """
        if sensor not in self.edges or np.diff(self.edges[sensor]).max(initial=0) < LEAST_ACQUISITIONS:
            return None
        day, values, trusted = self.day[sensor], self.values[sensor], self.trusted[sensor]
        # ``weight`` compares errors of reflectance between sets; in dB speckle is about the same everywhere.
        weight = self.weight if sensor == "s2" else 1.0
        return SeriesSource(
            self.name,
            {sensor: self.edges[sensor]},
            {sensor: day},
            {sensor: values},
            {sensor: trusted},
            weight,
        )


def from_table(name: str, table: SeriesTable) -> SeriesSource:
    """Take the series of a table.

    Parameters
    ----------
    name
        Of the set.
    table
        With Sentinel-2, and Sentinel-1 where there is.

    Returns
    -------
    SeriesSource
        All series of the table.
    """
    # Rows are sorted by series: the position of each number of a series is where its rows begin.
    at = np.arange(len(table.ids) + 1)
    known = {sensor: one for sensor, one in table.sensors.items() if sensor in ("s2", "s1")}
    edges = {sensor: np.searchsorted(one.series, at) for sensor, one in known.items()}
    day = {sensor: one.day for sensor, one in known.items()}
    return _source(name, edges, day, {sensor: one.values for sensor, one in known.items()})


def from_scene(
    scene: PackedScene, pixels: int, rng: np.random.Generator, sensors: tuple[str, ...] = ("s2", "s1")
) -> SeriesSource | None:
    """Take random pixels of a scene as series without neighbours.

    Parameters
    ----------
    scene
        A packed scene.
    pixels
        How many.
    rng
        Draws them.
    sensors
        Whose acquisitions are taken; the first must be there.

    Returns
    -------
    SeriesSource or None
        None where the scene lacks the first of ``sensors``.
    """
    if sensors[0] not in scene.steps:
        return None
    ny, nx = scene.shape
    rows, cols = np.unravel_index(rng.choice(ny * nx, min(pixels, ny * nx), replace=False), (ny, nx))
    edges, day, values = {}, {}, {}
    for sensor in sensors:
        if sensor not in scene.steps:
            continue
        every = scene.values(sensor, (slice(None), slice(None), rows, cols))  # (time, band, pixel)
        is_observed = scene.valid[sensor][:, rows, cols].T & np.isfinite(every).any(1).T  # (pixel, time)
        # Pixels see different dates: ragged arrays, not a rectangle of NaN.
        edges[sensor] = np.concatenate([[0], np.cumsum(is_observed.sum(1))])  # (pixel + 1,)
        pixel, time = np.nonzero(is_observed)
        day[sensor], values[sensor] = scene.day[sensor][time], every[time, :, pixel]
    return _source(scene.id, edges, day, values)


def _source(
    name: str, edges: dict[str, np.ndarray], day: dict[str, np.ndarray], values: dict[str, np.ndarray]
) -> SeriesSource:
    trusted = {sensor: np.ones(len(one), np.float32) for sensor, one in day.items()}
    # What follows is about clouds, which radar does not see.
    if "s2" not in values:
        return SeriesSource(name, edges, day, values, trusted, 1.0)
    bands = SENSORS["s2"].bands
    # Cloud and snow are bright in the visible, where vegetation and soil are dark.
    with warnings.catch_warnings():
        # Acquisitions without visible bands have no brightness, and are not called bright.
        warnings.simplefilter("ignore", RuntimeWarning)
        # (row,): reflectance in the visible, by which a missed cloud is told from vegetation and soil.
        light = np.nanmean(values["s2"][:, [bands.index(b) for b in ("B02", "B03", "B04")]], 1)
    square = []
    for a, b in zip(edges["s2"][:-1], edges["s2"][1:], strict=True):
        d, v = day["s2"][a:b], values["s2"][a:b]
        near = np.abs(d[:, None] - d) <= NEIGHBOUR_DAYS  # (t, t)
        # A date is no witness of itself.
        np.fill_diagonal(near, False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            # Against the median of the dates around and not of the year: snow and bare soil stay for weeks, clouds do
            # not.
            median = np.nanmedian(np.where(near, light[a:b], np.nan), 1) if len(d) > 1 else light[a:b]
        bright = light[a:b] - median > CONTAMINATED_RISE
        trusted["s2"][a:b][bright] = CONTAMINATED_WEIGHT
        if len(d) > 2:
            # Each inner date between its two neighbours, as the hidden dates are scored.
            share = ((d[1:-1] - d[:-2]) / np.maximum(d[2:] - d[:-2], 1))[:, None]
            error = v[1:-1] - (v[:-2] * (1 - share) + v[2:] * share)
            known = error[~bright[1:-1]] ** 2
            square.append(known[np.isfinite(known)].mean() if np.isfinite(known).any() else np.nan)
    # The error of plain interpolation: sources that are hard to interpolate weigh less, or their noise would rule the
    # loss.
    mse = float(np.nanmean(square)) if np.isfinite(square).any() else REFERENCE_MSE
    # Bounded, so that a source of little noise does not decide everything.
    weight = float(np.clip(REFERENCE_MSE / max(mse, 1e-6), 0.4, 3.0))
    return SeriesSource(name, edges, day, values, trusted, weight)


def measured_sources(
    folder: str | Path, leave: tuple[str, ...] = (), seed: int = 0
) -> tuple[list[SeriesSource], list[PackedScene], list[str]]:
    """Read what a folder holds: series tables, or scenes (files and folders that ``open_scene`` reads).

    Parameters
    ----------
    folder
        As ``readers.series_sets.find_tables`` finds tables, or with a scene per file or sub-folder.
    leave
        Names of sets, regions or scenes that are left out whole.
    seed
        Draws the pixels of scenes.

    Returns
    -------
    sources
        A source per set of tables, or per scene ``SCENE_PIXELS`` of its pixels.
    scenes
        The scenes themselves, whose pixels have neighbours.
    names
        Of all sets or scenes in the folder, those left out too.

    Raises
    ------
    InputError
        If the folder holds neither.
    """
    from fluxlens.embeddings.readers import open_scene
    from fluxlens.embeddings.readers.series_sets import find_tables, is_table_folder

    root = Path(folder)
    if is_table_folder(root):
        tables = find_tables(root)
        return (
            [from_table(name, table) for name, table in tables.items() if name not in leave],
            [],
            list(tables),
        )
    if not root.is_dir():
        raise InputError(
            f"Got --measured {folder}, need a folder of series tables or scenes; check the path."
        )
    rng = np.random.default_rng(seed)
    # Other files, such as elevation, stand beside scenes.
    paths = [path for path in sorted(root.iterdir()) if path.is_dir() or path.suffix in (".nc", ".zarr")]
    names = [path.stem for path in paths]
    sources, scenes = [], []
    for path in paths:
        if path.stem in leave:
            continue
        packed = PackedScene.from_scene(open_scene(path), ("s2", "s1"))
        source = from_scene(replace(packed, id=path.stem), SCENE_PIXELS, rng)
        # A handful of dates has none to hide and to interpolate between.
        if source is not None and np.diff(source.edges["s2"]).max(initial=0) >= LEAST_ACQUISITIONS:
            sources.append(source)
            scenes.append(packed)
    # A folder may be left out whole, to be scored as land of a kind that taught nothing.
    if not sources and not set(names) & set(leave):
        raise InputError(f"Got --measured {folder} without series or scenes, need some; check the path.")
    return sources, scenes, names


def series_batches(
    groups: list[list[SeriesSource]], config: HidingConfig, seed: int, size: int = 48
) -> Iterator[SeriesBatch]:
    """Endless batches; groups are drawn alike, and in a group its sources, whatever number of series they have.

    Sources with Sentinel-1 are drawn ``RADAR_DRAWS`` times as often.

    Parameters
    ----------
    groups
        One or more lists of sources, none empty.
    config
        What is hidden, and how often.
    seed
        Of all draws.
    size
        Series per batch.

    Yields
    ------
    SeriesBatch
        Of ``size`` series.
    """
    rng = np.random.default_rng(seed)
    sources = [source for group in groups for source in group]
    # Groups alike, then the sources in a group: a country of ten thousand plots must not outweigh all others.
    chance = np.array(
        [(RADAR_DRAWS if "s1" in source.day else 1) / len(group) for group in groups for source in group]
    )
    chance /= chance.sum()
    while True:
        drawn = []
        # One source per batch: its series are about as long and have the same sensors, so that little is padding.
        source = sources[rng.choice(len(sources), p=chance)]
        while len(drawn) < size:
            one = _draw(source, int(rng.integers(source.count)), config, rng)
            if one is not None:
                drawn.append(one)
        yield _padded(drawn)


def _draw(source: SeriesSource, series: int, config: HidingConfig, rng: np.random.Generator) -> dict | None:
    """One series with hidden acquisitions: what is shown, queries, targets and their weights."""
    main = config.main
    window = _draw_window(source, series, config, rng)
    if window is None:
        return None
    days, values, trusted = window
    day = days[main]
    # The same for all dates: a wrong calibration or another soil, not noise.
    if rng.random() < config.jitter_share:
        for sensor, one in values.items():
            spec = SENSORS[sensor]
            if spec.unit == "1":
                # A log-normal gain cannot turn reflectance negative; backscatter in dB has its gain in the offset.
                one *= np.exp(rng.normal(0, config.gain_std, len(spec.bands))).astype(np.float32)
            one += rng.normal(0, config.offset_std * spec.error_scale, len(spec.bands)).astype(np.float32)
    hidden, chance = _hide(days, config, rng)
    if not hidden[main].any():
        return None
    queries = _draw_queries(days, hidden, chance, config, rng)
    target = _targets(days, values, hidden, queries)
    # (query,) position of the acquisition of each queried day; days without one are told by the comparison below.
    at = np.searchsorted(day, queries).clip(0, len(day) - 1)
    # Targets under a missed cloud count less, noisy sources count less, and days whose image is shown are easy.
    weight = np.where(day[at] == queries, trusted[main][at], 1.0) * source.weight
    weight = weight * np.where((day[at] == queries) & ~hidden[main][at], config.visible_weight, 1.0)
    shown = {}
    for sensor in days:
        # Long series are thinned at random, which bounds the padding of a batch.
        at = np.flatnonzero(~hidden[sensor])
        if len(at) > config.most_shown:
            at = np.sort(rng.choice(at, config.most_shown, replace=False))
        shown[sensor] = (days[sensor][at], values[sensor][at])
    # Taken from what is shown only: the targets keep all bands.
    lost = rng.random() if "s2" in shown else 1.0
    bands = SENSORS["s2"].bands
    if lost < config.no_10m_share:
        shown["s2"][1][:, [bands.index(name) for name in S2_BANDS_10M]] = np.nan
    elif lost < config.no_10m_share + config.hls_share:
        shown["s2"][1][:, [i for i, name in enumerate(bands) if name not in HLS_BANDS]] = np.nan
    # The season is read from all dates, hidden ones too: it is a target and no input.
    if main == "s2":
        season = season_of(day, values["s2"], queries, trusted["s2"] == 1)
    else:
        season = np.full((config.queries, len(SEASON)), np.nan, np.float32)
    return {
        "shown": shown,
        "queries": queries,
        "target": target,
        "weight": weight,
        "season": season,
    }


def _draw_window(
    source: SeriesSource, series: int, config: HidingConfig, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]] | None:
    """Days (time,), values (time, band) and trust (time,) of a series in a random period, by sensor.

    None where the main sensor has too few acquisitions. The values are copies.
    """
    days, values, trusted = {}, {}, {}
    a, b = source.edges[config.main][series : series + 2]
    # Two dates are left to interpolate between when one or two are hidden.
    if b - a < LEAST_ACQUISITIONS:
        return None
    whole = source.day[config.main][a:b]
    # The window may reach over either end of the series, where users have no data either.
    length = int(rng.integers(*config.window_days))
    start = int(rng.integers(whole[0] - length // 4, max(whole[0] + 1, whole[-1] - 3 * length // 4)))
    for sensor, edges in source.edges.items():
        i, j = edges[series], edges[series + 1]
        # Rows are sorted by day within a series: the window is a slice.
        first, stop = i + np.searchsorted(source.day[sensor][i:j], (start, start + length + 1))
        days[sensor] = source.day[sensor][first:stop]
        values[sensor] = source.values[sensor][first:stop].copy()
        trusted[sensor] = source.trusted[sensor][first:stop]
    return (days, values, trusted) if len(days[config.main]) >= 3 else None


def _hide(
    days: dict[str, np.ndarray], config: HidingConfig, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Which acquisitions are hidden (time,) by sensor, and how likely each of the main sensor is queried (time,)."""
    main = config.main
    day = days[main]
    hidden = {sensor: np.zeros(len(one), bool) for sensor, one in days.items()}
    if rng.random() < config.gap_share:
        # Weeks of cloud: short gaps are more frequent than long ones.
        half = np.exp(rng.uniform(*np.log(config.gap_days)))
        centre = int(rng.integers(len(day)))
        hidden[main] = np.abs(day - day[centre]) <= half
        # The middle of a gap is queried more often than its ends, which are near to what is shown.
        chance = np.exp(-0.5 * ((day - day[centre]) / (0.5 * half)) ** 2)
    else:
        # Single dates at random, from a tenth to half of them: the clouds of an ordinary season.
        hidden[main] = rng.random(len(day)) < rng.uniform(0.1, 0.5)
        chance = np.ones(len(day))
    if rng.random() < config.few_share:
        # As in places with a handful of clear dates a year.
        left = rng.choice(len(day), min(len(day), int(rng.integers(1, 7))), replace=False)
        hidden[main] |= ~np.isin(np.arange(len(day)), left)
    if main == "s2" and len(days.get("s1", ())):
        hidden["s1"] = rng.random(len(days["s1"])) < 0.15
        # At times one sensor is gone altogether, so that the model does not come to need both.
        if rng.random() < config.radar_absent_share:
            hidden["s1"][:] = True
        elif rng.random() < config.optical_absent_share:
            hidden["s2"][:] = True
    return hidden, chance


def _draw_queries(
    days: dict[str, np.ndarray],
    hidden: dict[str, np.ndarray],
    chance: np.ndarray,
    config: HidingConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """Days (query,) that the fusion is asked for, most of them hidden ones of the main sensor."""
    main, q = config.main, config.queries
    day = days[main]
    at_hidden, at_shown = np.flatnonzero(hidden[main]), np.flatnonzero(~hidden[main])
    # The small number keeps a date far from the middle of a gap possible, and the sum above zero.
    p = chance[at_hidden] + 1e-6
    # With repetition, so that every series has the same number of queries.
    pick = list(day[rng.choice(at_hidden, q - 3, p=p / p.sum())])
    # A few days whose acquisition is shown, so that the embedding also fits what it sees.
    extra_days = [day[rng.choice(at_shown)]] if len(at_shown) else []
    # Hidden dates of radar too, so that its decoder learns.
    if main == "s2" and "s1" in days and hidden["s1"].any():
        extra_days += list(rng.choice(days["s1"][hidden["s1"]], 2))
    # Filled up with the first picks again: the number of queries is fixed, of shown and radar days it is not.
    return np.array((pick + extra_days + pick)[:q], np.int64)


def _targets(
    days: dict[str, np.ndarray],
    values: dict[str, np.ndarray],
    hidden: dict[str, np.ndarray],
    queries: np.ndarray,
) -> dict[str, np.ndarray]:
    """Measured values (query, band) on the queried days by sensor, NaN where there are none."""
    target = {}
    for sensor, one in values.items():
        out = np.full((len(queries), one.shape[1]), np.nan, np.float32)  # (query, band)
        # Days of the sensor are sorted: the position of an equal day, or of the next one, told apart by ``same``.
        at = np.searchsorted(days[sensor], queries).clip(0, max(len(days[sensor]) - 1, 0))
        if len(days[sensor]):
            same = days[sensor][at] == queries
            if SENSORS[sensor].unit == "dB":
                # Speckle must not be copied: an acquisition shown is never its own target.
                same &= hidden[sensor][at]
            out[same] = one[at[same]]
        target[sensor] = out
    return target


def season_of(day: np.ndarray, values: np.ndarray, queries: np.ndarray, clear: np.ndarray) -> np.ndarray:
    """Season around query days, by monthly means of clear acquisitions so that dense months count no more than others.

    Parameters
    ----------
    day
        (t,) days of the acquisitions.
    values
        (t, band) reflectance of Sentinel-2.
    queries
        (q,) days.
    clear
        (t,) bool, acquisitions that count.

    Returns
    -------
    ndarray
        (q, variable) ``models.decoder.SEASON``; NaN with fewer than ``LEAST_SEASON_BINS`` months.
    """
    bands = SENSORS["s2"].bands
    out = np.full((len(queries), len(SEASON)), np.nan, np.float32)
    red, nir, swir = (values[:, bands.index(name)] for name in ("B04", "B8A", "B11"))
    with np.errstate(all="ignore"):
        ndvi = (nir - red) / (nir + red)
        # NDVI, NIRv and LSWI in the order of ``SEASON``; bands that are missing give NaN, which is no clear date.
        index = np.stack([ndvi, ndvi * nir, (nir - swir) / (nir + swir)], 1)  # (t, 3)
    clear = clear & np.isfinite(index).all(1)
    for i, query in enumerate(queries):
        near = clear & (np.abs(day - query) <= SEASON_HALF_DAYS)
        # Bins of about a month around the query itself, so that no month is cut by the calendar.
        bins = (day[near] - query + SEASON_HALF_DAYS) // SEASON_BIN_DAYS
        months = np.unique(bins)
        if len(months) < LEAST_SEASON_BINS:
            continue
        # (month, index)
        mean = np.stack([index[near][bins == month].mean(0) for month in months])
        out[i] = [*mean.mean(0), mean[:, 0].max(), mean[:, 1].max()]
    return out


def _padded(drawn: list[dict]) -> SeriesBatch:
    """Series of a batch in arrays as long as the longest."""
    values, valid, day = {}, {}, {}
    a = len(drawn)
    for sensor in ("s2", "s1"):
        if all(sensor not in one["shown"] or not len(one["shown"][sensor][0]) for one in drawn):
            # Left out of the batch altogether, so that the fusion is trained with a sensor missing as it will be used.
            continue
        bands = len(SENSORS[sensor].bands)
        # (series, time, band) as long as the longest; padding is not valid, and so has no weight.
        longest = max(1, *(len(one["shown"][sensor][0]) if sensor in one["shown"] else 0 for one in drawn))
        values[sensor] = np.full((a, longest, bands), np.nan, np.float32)
        valid[sensor] = np.zeros((a, longest), bool)
        day[sensor] = np.zeros((a, longest), np.int64)
        for i, one in enumerate(drawn):
            if sensor in one["shown"]:
                d, v = one["shown"][sensor]
                values[sensor][i, : len(d)], day[sensor][i, : len(d)] = v, d
                valid[sensor][i, : len(d)] = np.isfinite(v).any(1)
    # A sensor that a series lacks has NaN as target, which the loss leaves out. One pixel per series: (a, q, 1, band).
    target = {
        sensor: np.stack(
            [
                one["target"].get(sensor, np.full((len(one["queries"]), len(SENSORS[sensor].bands)), np.nan))
                for one in drawn
            ]
        )[:, :, None].astype(np.float32)
        for sensor in ("s2", "s1")
    }

    def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    return SeriesBatch(
        tensors(values),
        tensors(valid),
        tensors(day),
        torch.from_numpy(np.stack([one["queries"] for one in drawn])),
        tensors(target),
        torch.from_numpy(np.stack([one["weight"] for one in drawn]).astype(np.float32)),
        torch.from_numpy(np.stack([one["season"] for one in drawn]))[:, :, None],
    )
