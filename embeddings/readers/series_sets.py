"""Series tables of a folder, divided into sets by region."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings.readers import series_bands, series_columns, series_shapes, series_table
from fluxlens.embeddings.readers.series_table import SeriesTable
from fluxlens.embeddings.text_cells import find_column, plain_name
from fluxlens.embeddings.text_table import read_table
from fluxlens.models.errors import DataWarning, InputError

SET_NAMES = ("set", "region", "group")
"""Columns that divide a table into sets, by ``plain_name``."""


def is_table_folder(path: str | Path) -> bool:
    """Whether a folder holds series tables, and no scenes.

    Parameters
    ----------
    path : str or Path
        What is to be evaluated: a scene, a folder of scenes, or a folder of tables.

    Returns
    -------
    bool
        True for a folder with ``.csv`` or ``.parquet`` files, in it or in its sub-folders, and neither NetCDF nor Zarr
        nor GeoTIFF beside them.
    """
    root = Path(path)
    if not root.is_dir():
        return False
    files = [file for pattern in ("*", "*/*") for file in root.glob(pattern)]
    # Scenes may have tables beside them, such as a tower's; they are still scenes.
    is_scene = any(
        file.suffix.lower() in (".nc", ".tif", ".tiff", ".zarr")
        or file.name in ("zarr.json", ".zgroup", ".zattrs")
        for file in files
    )
    return not is_scene and any(file.suffix.lower() in (".csv", ".parquet") for file in files)


def find_tables(folder: str | Path) -> dict[str, SeriesTable]:
    """Sets of series in the tables of a folder.

    Every ``.csv`` or ``.parquet`` with an id, a date and bands of Sentinel-2 is a table of series; the Sentinel-1 table
    that shares its ids belongs to it. A column ``set`` or ``region``, in it or in a table of plots with the same ids,
    divides it into sets.

    Parameters
    ----------
    folder : str or Path
        The folder itself, or one whose sub-folders hold such tables.

    Returns
    -------
    dict of str to SeriesTable
        By the name of the set.

    Raises
    ------
    InputError
        If there is no such table.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"Got {folder}, which is no folder, need one with series tables; check the path.")
    for folders in ([root], sorted(path for path in root.iterdir() if path.is_dir())):
        sets: dict[str, SeriesTable] = {}
        # Tables directly in the folder first; only without any are its sub-folders looked at.
        for holder in folders:
            prefix = "" if holder == root else f"{holder.name}_"
            sets |= {prefix + name: table for name, table in _sets_of(holder).items()}
        if sets:
            return sets
    raise InputError(
        f"Got {folder} without a table of id, date and bands of Sentinel-2 (.csv or .parquet), need one; check it."
    )


def _sets_of(folder: Path) -> dict[str, SeriesTable]:
    # Told apart by their columns, not by their names.
    optical, radar, plots, unread = {}, {}, {}, []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (".csv", ".parquet"):
            continue
        table = series_shapes.to_one_row_per_date(read_table(path), path.name)
        names = [str(name) for name in table.columns]
        try:
            bands = series_bands.band_columns(names, path.name)
        # A table of something else: it is named below, not refused.
        except InputError:
            bands = {}
        plain = {plain_name(name) for name in names}
        has_id = bool(plain & set(series_columns.ID_NAMES))
        has_date = bool(plain & {*series_columns.DATE_NAMES})
        if has_id and has_date and len(bands) >= series_bands.MIN_BANDS:
            optical[path.stem] = table
        elif has_id and has_date and {"vv", "vh"} & plain:
            radar[path.stem] = table
        elif has_id and not has_date and plain & set(SET_NAMES):
            plots[path.stem] = table
        else:
            unread.append(path.name)
    if optical and unread:
        warnings.warn(
            f"{len(unread)} of {len(unread) + len(optical) + len(radar) + len(plots)} tables of {folder.name} hold no"
            f" series of Sentinel-2 or Sentinel-1: left out ({', '.join(unread[:5])}{', ...' if unread[5:] else ''}).",
            DataWarning,
            stacklevel=3,
        )
    sets: dict[str, SeriesTable] = {}
    for stem, table in optical.items():
        ids = series_columns.to_ids(table, stem)
        # A radar table belongs to each optical one with which it shares an id.
        same_ids = [
            radar_table
            for name, radar_table in radar.items()
            if pd.Index(series_columns.to_ids(radar_table, name)).isin(ids).any()
        ]
        joined = pd.concat(same_ids) if same_ids else None
        labels = _set_labels(table, ids, plots)
        # ``dict.fromkeys``: each label once, in the order of the file.
        for label in dict.fromkeys(labels):
            rows = labels == label
            name = str(label) or stem
            # Two tables may use the same names of regions.
            name = f"{stem}_{name}" if name in sets else name
            radar_rows = None
            if joined is not None:
                radar_rows = joined[pd.Index(series_columns.to_ids(joined, stem)).isin(ids[rows])]
            sets[name] = series_table.read_series(
                table[rows], radar_rows if radar_rows is not None and len(radar_rows) else None
            )
    return sets


def _set_labels(table: pd.DataFrame, ids: np.ndarray, plots: dict[str, pd.DataFrame]) -> np.ndarray:
    """The set of each row; empty where no column tells."""
    column = find_column(table, SET_NAMES)
    if column is not None:
        return table[column].astype(str).to_numpy()
    for name, plot in plots.items():
        column = find_column(plot, SET_NAMES)
        known = pd.Series(plot[column].astype(str).to_numpy(), series_columns.to_ids(plot, name))
        # Plots may be listed once per year.
        known = known[~known.index.duplicated()].reindex(ids)
        if known.notna().all():
            return known.to_numpy()
    return np.full(len(table), "")
