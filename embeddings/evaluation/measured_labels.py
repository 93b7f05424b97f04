"""What measured labels the embedding predicts where its probe was never fitted, beside interpolated bands and NDVI.

Three kinds of labels: a class per series of a table (crop of a parcel), numbers measured at places and dates in scenes
(leaf area, growth stage), and maps beside scenes (yield of a harvester), whose variation inside a scene is predicted.
Every input gets the same probe: ridge or logistic regression; series, scenes (farms) or fields are left out, and the
penalty is chosen inside the others.

A window of days becomes one vector by the statistics of ``export.summary``: mean, standard deviation and half the range
of 30-day means, of the embedding as of interpolated bands and NDVI.

Long on purpose: the three kinds share their inputs, so that their scores compare.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import metrics
from fluxlens.embeddings.evaluation import linear_probes
from fluxlens.embeddings.evaluation.mowing import ndvi_of, tables_of
from fluxlens.embeddings.evaluation.protocol import Protocol, describe_weights
from fluxlens.embeddings.export.summary import SUBPERIOD_DAYS
from fluxlens.embeddings.geometry import target_grid
from fluxlens.embeddings.inference import engine
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.readers import open_scene, series_columns
from fluxlens.embeddings.readers.series_sets import find_tables
from fluxlens.embeddings.scenes.acquisitions import parse_day, read_acquisitions, to_epoch_day
from fluxlens.embeddings.series.embed import embed_series_steps
from fluxlens.embeddings.store import quantise
from fluxlens.embeddings.text_cells import find_column, plain_name
from fluxlens.embeddings.text_table import read_table
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import SENSORS

FOLDS = 5
LEAST_OF_A_CLASS = 10
"""Series of a class in a region: two in each fold; smaller classes are left out."""
LEAST_ROWS = 10
"""Measurements of a variable that a scene needs to be predicted or learned from."""
LEAST_PIXELS = 20
"""Labelled pixels a scene needs for a pattern of its own."""
MOST_PIXELS = 400
"""Labelled pixels of a scene that are taken, drawn at random: large fields must not decide."""
NEAR_DAYS = 3
"""Places measured this near to the last or first acquisition still count."""

BASELINES = "the same probes of bands and of NDVI, interpolated linearly in time"

Result = tuple[dict[str, float], str]


def window_vector(daily: np.ndarray) -> np.ndarray:
    """One vector of a window of days.

    Parameters
    ----------
    daily : numpy.ndarray
        (day, ..., variable) values in any unit.

    Returns
    -------
    numpy.ndarray
        (..., 3 variable): mean, standard deviation, and half the range of the means of equal parts of about 30 days.
    """
    periods = np.array_split(daily, max(1, round(len(daily) / SUBPERIOD_DAYS)))
    means = np.stack([period.mean(0) for period in periods])
    return np.concatenate([daily.mean(0), daily.std(0), (means.max(0) - means.min(0)) / 2], -1)


def evaluate_classes(
    folder: str | Path, label: str, model: Embedder, window: str | None = None
) -> Steps[Result]:
    """Classes of the series of a table, each series by others of its region; yields progress.

    Parameters
    ----------
    folder : str or Path
        Series tables in regions, as ``find_tables`` finds them, and a table of their ids with the column ``label``.
    label : str
        Name of the column of classes.
    model : Embedder
        Loaded model.
    window : str or None
        ``START:END``; the days of each series where not given.

    Returns
    -------
    numbers : dict of str to float
        ``<input>_balanced_accuracy`` and ``<input>_accuracy``, 0-1, means over regions.
    text : str
        The same as a table.

    Raises
    ------
    InputError
        Where no table has the column, or no region has two classes.
    """
    from sklearn.metrics import accuracy_score, balanced_accuracy_score

    inputs, kind, group = yield from _labelled_inputs(folder, label, model, window)
    # Regions grow different crops: a class is told apart from the others of its region.
    name_of = pd.Series([f"{one} {other}" for one, other in zip(group, kind, strict=True)])
    usable = name_of.map(name_of.value_counts()).to_numpy() >= LEAST_OF_A_CLASS
    # Regions with two classes or more: one class alone is always told right.
    series_of_region = {
        str(one): usable & (group == one)
        for one in np.unique(group)
        if len(np.unique(kind[usable & (group == one)])) > 1
    }
    if not series_of_region:
        raise InputError(
            f"Got no region with two classes of {label} of {LEAST_OF_A_CLASS} series each, need one; add series."
        )
    numbers: dict[str, float] = {"series": int(sum(members.sum() for members in series_of_region.values()))}
    numbers["classes"] = len(np.unique(name_of[np.any(list(series_of_region.values()), 0)]))
    for at, (name, rows) in enumerate(inputs.items()):
        yield f"probing {name}", 0.6 + 0.4 * at / len(inputs)
        x = np.concatenate(rows)  # (series, 3 variable)
        x = x[:, np.isfinite(x).all(0)]
        scores = []
        for region, members in series_of_region.items():
            predicted = _classify(x[members], kind[members])
            scores.append(
                (balanced_accuracy_score(kind[members], predicted), accuracy_score(kind[members], predicted))
            )
            numbers[f"{region}_{name}_balanced_accuracy"] = float(scores[-1][0])
        # The mean of the regions, so that the largest region does not decide.
        numbers[f"{name}_balanced_accuracy"], numbers[f"{name}_accuracy"] = map(float, np.mean(scores, 0))
    protocol = Protocol(
        data=f"{folder}: {label}, {numbers['classes']} classes of {numbers['series']} series in"
        f" {len(series_of_region)} regions",
        split=f"{FOLDS} folds of the series inside each region, drawn at random: neighbours of a series may teach it",
        baselines=BASELINES,
        weights=describe_weights(model),
    )
    return protocol.attach(numbers, _text(f"{label}, each series by others of its region", numbers))


def _labelled_inputs(
    folder: str | Path, label: str, model: Embedder, window: str | None
) -> Steps[tuple[dict[str, list[np.ndarray]], np.ndarray, np.ndarray]]:
    """Inputs of the probes by name, a row per series that has a label, its label and its region; yields progress."""
    yield "reading the tables", 0.0
    sets = find_tables(folder)
    classes = _label_column(Path(folder), label)
    inputs: dict[str, list[np.ndarray]] = {"embedding": [], "bands": [], "ndvi": []}
    kinds, regions = [], []
    for at, (region, table) in enumerate(sets.items()):
        frames: list[pd.DataFrame] = []
        yield f"{region}: daily embeddings", 0.6 * at / len(sets)
        start, end = _window_days(window)
        yield from embed_series_steps(
            *tables_of(table), None, model, start=start, end=end, sink=frames.append
        )
        daily = dict(list(pd.concat(frames).groupby("id", sort=False)))
        observed = table.sensors["s2"]
        for own, name in enumerate(table.ids):
            rows = observed.series == own
            if name not in daily or name not in classes or not rows.any():
                continue
            days = to_epoch_day(daily[name]["time"].to_numpy())
            # What the embedding is compared with: bands through clear dates by straight lines, on the same days.
            bands = _interpolated(observed.day[rows], observed.values[rows], days)
            z = daily[name][[f"e{i:02d}" for i in range(model.features)]].to_numpy()
            _append(inputs, z, bands)
            kinds.append(classes[name])
            regions.append(region)
    return inputs, np.array(kinds, object).astype(str), np.array(regions, object).astype(str)


def _classify(x: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Predicted class of each row (row, input) by rows of other folds; the penalty is chosen inside those."""
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    out = kind.copy()
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, kind):
        # Nested: the penalty is chosen inside the rows that teach.
        inner = StratifiedKFold(FOLDS - 2, shuffle=True, random_state=1)
        best = max(
            linear_probes.LOGISTIC_STRENGTHS,
            key=lambda strength: balanced_accuracy_score(
                kind[train],
                cross_val_predict(
                    linear_probes.classifier(len(train), strength), x[train], kind[train], cv=inner
                ),
            ),
        )
        out[test] = linear_probes.classifier(len(train), best).fit(x[train], kind[train]).predict(x[test])
    return out


def evaluate_in_situ(
    folder: str | Path, file: str | Path, model: Embedder, group: str | None = None
) -> Steps[Result]:
    """Numbers measured at places and dates inside scenes, each scene or group by the others; yields progress.

    Parameters
    ----------
    folder : str or Path
        Scenes, a file or folder each.
    file : str or Path
        Table with ``variable``, ``value``, ``date``, ``lon`` and ``lat``.
    model : Embedder
        Loaded model.
    group : str or None
        Column of the table whose values are left out one by one, such as ``parcel``; None: the scene.

    Returns
    -------
    numbers : dict of str to float
        ``<variable>_<input>_r2`` (1 - SSE/SST) and ``_rmse`` in the unit of the variable.
    text : str
        The same as a table.

    Raises
    ------
    InputError
        Where columns are missing, or no two scenes hold measurements.
    """
    table = _read_measurements(file, group)
    rows: dict[str, list] = {"variable": [], "value": [], "scene": [], "day": []}
    inputs: dict[str, list[np.ndarray]] = {"embedding": [], "bands": [], "ndvi": []}
    scenes = _scenes(folder)
    for at, (name, scene) in enumerate(scenes.items()):
        yield f"{name}: daily embeddings", 0.8 * at / len(scenes)
        row, col, inside = _pixels_in_scene(table, scene)
        if not inside.any():
            continue
        some = table[inside]
        z, bands = _on_days(scene, model, row[inside], col[inside], some["day"].to_numpy())
        inputs["embedding"].append(z)
        inputs["bands"].append(bands)
        inputs["ndvi"].append(ndvi_of(bands)[:, None])
        rows["variable"] += list(some["variable"].astype(str))
        rows["value"] += list(table["value"].to_numpy(float)[inside])
        rows["scene"] += list(some["group"].astype(str)) if group else [name] * len(some)
        rows["day"] += [f"{name} {one}" for one in some["day"]]
    measured = pd.DataFrame(rows)
    # The score leaves out whole scenes (or groups): rows of one place would otherwise teach their own neighbours.
    if measured["scene"].nunique() < 2:
        raise InputError(
            f"Got measurements inside {measured['scene'].nunique()} {group or 'scene'}s of {folder}, need two to"
            " leave one out; add some."
        )
    x_of = {name: np.concatenate(blocks) for name, blocks in inputs.items()}
    # A band of the tables that the product lacks is no input.
    x_of["bands"] = x_of["bands"][:, np.isfinite(x_of["bands"]).any(0)]
    numbers = yield from _probe_variables(measured, x_of)
    left_out = group or "scene"
    protocol = Protocol(
        data=f"{Path(file).name} inside scenes of {folder}: {measured['scene'].nunique()} {left_out}s",
        split=f"leave-one-out: each {left_out} predicted from the others",
        baselines=BASELINES,
        weights=describe_weights(model),
    )
    return protocol.attach(
        numbers,
        _text(f"Measured in {measured['scene'].nunique()} {left_out}s, each by the others", numbers),
    )


def _read_measurements(file: str | Path, group: str | None) -> pd.DataFrame:
    """Columns ``variable``, ``value``, ``lon``, ``lat``, ``day`` (days since 1970-01-01), ``group`` where given."""
    table = read_table(file)
    # Headers differ in case and blanks between campaigns: columns are matched by their plain names.
    plain = {plain_name(str(column)): column for column in table.columns}
    needed = ("variable", "value", "date", "lon", "lat", *([plain_name(group)] if group else []))
    if lost := [name for name in needed if name not in plain]:
        raise InputError(f"Got {Path(file).name} without {', '.join(lost)}, need them; add the columns.")
    columns = {name: table[plain[name]] for name in ("variable", "value", "lon", "lat")}
    columns["day"] = series_columns.to_epoch_days(table, Path(file).name)
    if group:
        columns["group"] = table[plain[plain_name(group)]]
    return pd.DataFrame(columns)


def _pixels_in_scene(table: pd.DataFrame, scene: xr.DataTree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of each measurement in the grid of a scene, and whether it lies in the scene and its days."""
    grid = target_grid(scene)
    x, y = grid.xy(table["lon"].to_numpy(float), table["lat"].to_numpy(float))
    row, col = grid.nearest_index(x, y)
    first, last = _span(scene)
    inside = (row >= 0) & (row < grid.ny) & (col >= 0) & (col < grid.nx)
    # A little beyond the scene's days: plots are visited when the weather allows, not when a satellite passes.
    day = table["day"].to_numpy()
    inside &= (day >= first - NEAR_DAYS) & (day <= last + NEAR_DAYS)
    return row, col, inside


def _on_days(
    scene: xr.DataTree, model: Embedder, row: np.ndarray, col: np.ndarray, day: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Embedding (measurement, feature) and bands (measurement, band) at pixels on days since 1970-01-01."""
    # Many measurements lie in one pixel: each is embedded once, ``of`` leads back to the measurements.
    pixels, of = np.unique(np.stack([row, col]), axis=1, return_inverse=True)
    days, z, bands = _daily_of_pixels(scene, model, *pixels)
    # Days just outside the cube take its first or last day.
    when = np.clip(day - days[0], 0, len(days) - 1)
    # NumPy 2.0.0 gives the inverse as (1, measurement), other versions as (measurement,).
    of = np.ravel(of)
    return z[when, of], bands[when, of]


def _probe_variables(measured: pd.DataFrame, inputs: dict[str, np.ndarray]) -> Steps[dict[str, float]]:
    """Scores by variable and input (row, feature) of ridge regression, each scene by the others; yields progress.

    Parameters
    ----------
    measured
        ``variable``, ``value``, ``scene`` and ``day`` of each row.
    inputs
        By name (row, feature).
    """
    # All inputs are scored on the same rows, or their scores could not be compared.
    known = np.all([np.isfinite(x).all(1) for x in inputs.values()], 0) & measured["value"].notna().to_numpy()
    numbers: dict[str, float] = {}
    for variable in measured["variable"].unique():
        yield f"probing {variable}", 0.9
        chosen = known & (measured["variable"] == variable).to_numpy()
        # Scenes of a few rows would give a score of their own noise.
        count = measured[chosen]["scene"].value_counts()
        chosen &= measured["scene"].isin(count.index[count >= LEAST_ROWS]).to_numpy()
        subset = measured[chosen]
        if subset["scene"].nunique() < 2:
            continue
        numbers[f"{variable}_rows"] = int(chosen.sum())
        y = subset["value"].to_numpy()
        for name, x in inputs.items():
            predicted = linear_probes.ridge(
                x[chosen], y, subset["day"].to_numpy(), subset["scene"].to_numpy()
            )
            numbers[f"{variable}_{name}_r2"] = metrics.nse(y, predicted)
            numbers[f"{variable}_{name}_rmse"] = metrics.rmse(y, predicted)
    return numbers


def evaluate_maps(
    folder: str | Path, variable: str, model: Embedder, window: str | None = None
) -> Steps[Result]:
    """Variation of a map inside scenes, each scene by the others; yields progress.

    Parameters
    ----------
    folder : str or Path
        Scenes as NetCDF files that hold the variable on (y, x).
    variable : str
        Its name.
    model : Embedder
        Loaded model.
    window : str or None
        ``START:END`` of the vector; all days of the scene where not given.

    Returns
    -------
    numbers : dict of str to float
        ``<input>_r2`` of deviations from the mean of their scene, and ``<input>_correlation``, the mean over scenes.
    text : str
        The same as a table.

    Raises
    ------
    InputError
        Where fewer than three scenes have the variable.
    """
    rng = np.random.default_rng(0)
    inputs: dict[str, list[np.ndarray]] = {"embedding": [], "bands": [], "ndvi": []}
    values, group = [], []
    scenes = _scenes(folder)
    for at, (name, scene) in enumerate(scenes.items()):
        yield f"{name}: daily embeddings", 0.9 * at / len(scenes)
        label = _read_map(name, scene, variable)
        if label is None:
            continue
        row, col = np.nonzero(np.isfinite(label))
        if len(row) < LEAST_PIXELS:
            continue
        # Sorted, since neighbouring pixels share chunks.
        some = np.sort(rng.permutation(len(row))[:MOST_PIXELS])
        row, col = row[some], col[some]
        _, z, bands = _daily_of_pixels(scene, model, row, col, window)
        # Pixels with a band on every day; bands that are missing throughout are dropped below.
        # (pixel,) of bands (day, pixel, band)
        known = np.isfinite(bands).any(2).all(0)
        _append(inputs, z[:, known], bands[:, known])
        values.append(label[row, col][known])
        group.append(np.full(int(known.sum()), name))
    if len(values) < 3:
        raise InputError(f"Got {len(values)} scenes with {variable}, need three to leave one out; add some.")
    y, scene_of = np.concatenate(values), np.concatenate(group)  # (pixel,) of all scenes
    numbers: dict[str, float] = {"pixels": len(y), "scenes": len(values)}
    numbers |= _probe_inside_scenes(y, scene_of, {name: np.concatenate(x) for name, x in inputs.items()})
    protocol = Protocol(
        data=f"{folder}: {variable} inside {len(values)} scenes, {len(y)} pixels",
        split="leave-scene-out: each scene predicted from the others, less each scene's own mean",
        baselines=BASELINES,
        weights=describe_weights(model),
    )
    return protocol.attach(
        numbers,
        _text(f"{variable} inside {len(values)} scenes, {len(y)} pixels, each scene by the others", numbers),
    )


def _read_map(name: str, scene: xr.DataTree, variable: str) -> np.ndarray | None:
    """A variable (y, x) of the file of a scene, NaN where not measured; None where the file lacks it."""
    with xr.open_dataset(scene.attrs["path"]) as file:
        if variable not in file:
            return None
        label = file[variable].transpose("y", "x").values.astype(float)
    # No resampling: a label that is off by half a pixel would be scored as an error of the model.
    if label.shape != target_grid(scene).shape:
        raise InputError(
            f"Got {variable} of {name} on {label.shape} pixels, need the scene's {target_grid(scene).shape}."
        )
    return label


def _probe_inside_scenes(
    y: np.ndarray, scene_of: np.ndarray, inputs: dict[str, np.ndarray]
) -> dict[str, float]:
    """Scores by input (pixel, feature) of ridge regression of the variation inside scenes, each by the others."""
    # Differences between scenes are taken out: what is asked is whether the inside of a scene can be told, not which
    # scene it is.
    y = _less_mean(y[:, None], scene_of)[:, 0]
    numbers: dict[str, float] = {}
    for name, x in inputs.items():
        x = _less_mean(x[:, np.isfinite(x).all(0)], scene_of)
        predicted = linear_probes.ridge(x, y, scene_of)
        numbers[f"{name}_r2"] = metrics.nse(y, predicted)
        each = [
            np.corrcoef(y[scene_of == one], predicted[scene_of == one])[0, 1] for one in np.unique(scene_of)
        ]
        numbers[f"{name}_correlation"] = float(np.mean(each))
    return numbers


def _append(inputs: dict[str, list[np.ndarray]], z: np.ndarray, bands: np.ndarray) -> None:
    """Vectors of a window of the embedding, of bands and of NDVI, added to ``inputs``."""
    inputs["embedding"].append(np.atleast_2d(window_vector(z)))
    inputs["bands"].append(np.atleast_2d(window_vector(bands)))
    inputs["ndvi"].append(np.atleast_2d(window_vector(ndvi_of(bands)[..., None])))


def _less_mean(x: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Rows (row, variable) less the mean of their group."""
    return x - pd.DataFrame(x).groupby(group).transform("mean").to_numpy()


def _label_column(folder: Path, label: str) -> dict[str, str]:
    """The class of each id, of the first table that has the column."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (".csv", ".parquet"):
            continue
        table = read_table(path)
        if label in table.columns and find_column(table, series_columns.ID_NAMES):
            ids = series_columns.to_ids(table, path.name)
            known = table[label].notna().to_numpy()
            return dict(zip(ids[known], table[label][known].astype(str), strict=True))
    raise InputError(f"Got no table with ids and the column {label} in {folder}, need one; check the name.")


def _scenes(folder: str | Path) -> dict[str, xr.DataTree]:
    """Scenes of a folder by name, each with its ``path`` in attrs."""
    root = Path(folder)
    paths = sorted(root.iterdir()) if root.is_dir() else []
    scenes = {}
    for path in paths:
        if path.is_dir() or path.suffix in (".nc", ".zarr"):
            scenes[path.stem] = open_scene(path)
            scenes[path.stem].attrs["path"] = str(path)
    if not scenes:
        raise InputError(f"Got {folder} without scenes, need files or folders of some; check the path.")
    return scenes


def _window_days(window: str | None) -> tuple[str | None, str | None]:
    """First and last day of ``START:END``."""
    if window is None:
        return None, None
    start, colon, end = window.partition(":")
    if not (start and colon and end):
        raise InputError(f"Got --window {window}, need START:END such as 2020-05-01:2020-09-30; correct it.")
    # Both are read for their errors alone: a wrong date is refused before anything is embedded.
    parse_day(start, None, "start"), parse_day(end, None, "end")
    return start, end


def _span(scene: xr.DataTree) -> tuple[int, int]:
    """First and last day of Sentinel-2 in a scene."""
    day = to_epoch_day(scene["s2"]["time"].values)
    return int(day.min()), int(day.max())


def _daily_of_pixels(
    scene: xr.DataTree, model: Embedder, row: np.ndarray, col: np.ndarray, window: str | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days (day,), embeddings (day, pixel, feature) with their neighbourhood, interpolated bands (day, pixel, band)."""
    cube = engine.compute(scene, model, *_window_days(window))
    days = to_epoch_day(cube["time"].values)
    z = quantise.dequantise(cube).values[:, row, col]  # (day, pixel, feature)
    grid = target_grid(scene)
    series = read_acquisitions(scene, SENSORS["s2"], grid, slice(0, grid.ny), slice(0, grid.nx))
    # (acquisition, band, pixel) and (acquisition, pixel)
    values, valid = series.values[:, :, row, col], series.valid[:, row, col]
    bands = np.stack(
        [_interpolated(series.day[valid[:, i]], values[valid[:, i], :, i], days) for i in range(len(row))], 1
    )
    return days, z, bands


def _interpolated(day: np.ndarray, values: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Bands (day, band) linear in time between acquisitions, constant at the ends; NaN of a band that has none."""
    out = np.full((len(days), values.shape[1]), np.nan)
    for band in range(values.shape[1]):
        known = np.isfinite(values[:, band])
        if known.any():
            out[:, band] = np.interp(days, day[known], values[known, band])
    return out


def _text(title: str, numbers: dict[str, float]) -> str:
    width = max(len(name) for name in numbers)
    return "\n".join([title, *(f"  {name:{width}} {value:10.3f}" for name, value in numbers.items())])
