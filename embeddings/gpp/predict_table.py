"""GPP of a table's rows by the head of series and maps, with its 90 % band and out-of-distribution flag.

Tables are of single spectra (``tables``) or daily series (``daily_table``); both go through one function per row, which
``evaluate gpp`` and ``calibrate gpp`` call too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings.gpp import cubes, daily_table, tables
from fluxlens.embeddings.gpp.calibration import DayTerms
from fluxlens.embeddings.gpp.calibration_file import Calibration
from fluxlens.embeddings.gpp.table_days import embed_rows
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.embeddings.gpp.table_resolution import ASSUMED_M, is_fine
from fluxlens.embeddings.scenes.reflectance_check import find_fault
from fluxlens.embeddings.variables import GPP_COLUMNS
from fluxlens.models.atomic import atomic_path
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.drivers import DRIVERS, NORMAL_90

LEAST_ROWS = 5
"""Vegetated spectra of a site from which on its reflectance is checked as a whole."""


def predict(
    in_csv: str | Path,
    out_csv: str | Path,
    head: str | Path = "default",
    calibration: Calibration | str | Path | None = None,
    resolution_m: float | None = None,
) -> pd.DataFrame:
    """Predict GPP of a table and write it.

    Parameters
    ----------
    in_csv
        Table of spectra as for ``tables.read``, or of daily series as for ``daily_table.read``.
    out_csv
        File to write: ``site,date,gpp,gpp_lo,gpp_hi,ood``, a row per row; its folder must exist.
    head
        ``default`` for the shipped head, or the path of one.
    calibration
        To measured towers, or the path of its file. Rows of its towers get their tower's adjustment, others that of
        the set; a last column ``calibration`` names it.
    resolution_m
        Metres of land a row shows, of all rows; counts before the columns ``footprint_m``, ``resolution_m`` and
        ``sensor``. Rows of 100 m or more go without the correction for land seen at 10 to 30 m.

    Returns
    -------
    DataFrame
        What was written; gC m-2 d-1, a 90 % band. Where it is known of any row how much land it shows, a column
        ``resolution_m`` says it of each (30 where it was assumed); ``attrs["resolution"]`` says it of the table.

    Raises
    ------
    InputError
        When the table or the place to write is not as needed.
    """
    out = Path(out_csv)
    if not out.parent.is_dir():
        raise InputError(f"Got {out}, whose folder does not exist, need one that does; create it.")
    if out.is_dir():  # an atomic write would replace the folder and all that it holds
        raise InputError(f"Got {out}, which is a folder, need a file; choose another path.")
    # Before the table: a wrong calibration is known at once.
    calibration = cubes.calibration_of({}, calibration)
    loaded = cubes.load(head)
    adjustment = None if calibration is None else calibration.head(cubes.KIND, loaded.digest)
    if daily_table.is_daily_file(in_csv):
        table = daily_table.read(in_csv, resolution_m=resolution_m)
    else:
        table = tables.read(in_csv, resolution_m=resolution_m)
    predicted, sw, drivers = _predict(table, loaded)
    result = pd.concat([table[["site", "date"]], predicted], axis=1)
    if adjustment is not None:
        # Site by site: a calibration may hold the adjustment of this very tower, which is better than that of the set.
        for site, at in table.groupby("site", sort=False).indices.items():
            terms = DayTerms.from_drivers(sw[at], drivers[at])
            band = (result[name].values[at] for name in GPP_COLUMNS)
            adjusted = adjustment.at(str(site)).apply(*band, terms)
            for name, values in zip(GPP_COLUMNS, adjusted, strict=True):
                result.loc[result.index[at], name] = values
        result["calibration"] = f"{calibration.name} ({calibration.digest})"
    result = _with_resolution(result, table["resolution_m"])
    result["date"] = result["date"].dt.strftime("%Y-%m-%d")
    with atomic_path(out) as temporary:
        result.to_csv(temporary, index=False, float_format="%.4f")
    return result


def predict_rows(
    table: pd.DataFrame, head: cubes.DailyGppHead | None = None, model: Embedder | None = None
) -> pd.DataFrame:
    """Predict GPP of rows, each site embedded from all its own dates and no other's.

    Parameters
    ----------
    table
        As ``tables.read`` or ``daily_table.read`` returns it; measured GPP in it has no influence.
    head
        A loaded head, or None for the shipped one.
    model
        The embedder whose embeddings the head reads; None: looked for among the shipped ones.

    Returns
    -------
    DataFrame
        ``gpp``, ``gpp_lo``, ``gpp_hi`` (gC m-2 d-1, a 90 % band) and ``ood`` with the index of the table. Spectra
        with a missing band, days of a year without spectra, and all rows of a site whose reflectance no land has
        (``scenes.reflectance_check``), are out of distribution.

    Raises
    ------
    InputError
        When no shipped embedder made the embeddings that the head was fitted on.
    """
    return _predict(table, head or cubes.load("default"), model)[0]


def _predict(
    table: pd.DataFrame, head: cubes.DailyGppHead, model: Embedder | None = None
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """GPP of rows, and their radiation (row,), W m-2, and scaled drivers (row, driver)."""
    model = model or embedder_of(head)
    fine = is_fine(table)
    out = {name: np.empty(len(table)) for name in GPP_COLUMNS} | {"ood": np.zeros(len(table), bool)}
    every_sw, every_drivers = np.zeros(len(table)), np.zeros((len(table), len(DRIVERS)), np.float32)
    # Site by site: spectra of other sites must not enter.
    for at, (z, sw, drivers), is_lost in _embedded(table, model):
        mean, spread, is_ood = head.predict_rows(z, sw, drivers, fine[at])
        half = NORMAL_90 * spread
        columns = (mean, mean - half, mean + half, is_ood | is_lost)
        for name, values in zip((*GPP_COLUMNS, "ood"), columns, strict=True):
            out[name][at] = values
        every_sw[at], every_drivers[at] = sw, drivers
    return pd.DataFrame(out, table.index), every_sw, every_drivers


def _embedded(
    table: pd.DataFrame, model: Embedder
) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...], np.ndarray]]:
    """Positions of rows, their embedding, radiation and drivers, and whether they lack what the head needs to see."""
    # Both kinds of table have passed their reader; the names of their bands tell them apart.
    is_daily = daily_table.DAILY_COLUMNS[-1] in table
    for at in table.groupby("site", sort=False).indices.values():
        rows = table.iloc[at]
        if not is_daily:
            lost = rows[list(BANDS)].isna().any(axis=1).values
            yield at, embed_rows(rows, model), lost | _is_faulty(rows, ("b2", "b4", "b5"))
            continue
        is_faulty = _is_faulty(rows, ("blue", "red", "nir"))
        # Rows of one day have one embedding; each gets an answer of its own all the same.
        _, first, of = np.unique(rows["date"].values, return_index=True, return_inverse=True)
        for days, inputs, has_spectrum in daily_table.embed_site(rows.iloc[first], model):
            chosen = np.flatnonzero(np.isin(of, days))
            # ``days`` increases and holds the day of each chosen row, so that the place found is that of the day
            # itself.
            place = np.searchsorted(days, of[chosen])
            lost = np.full(len(chosen), is_faulty or not has_spectrum)
            yield at[chosen], tuple(values[place] for values in inputs), lost


def _is_faulty(rows: pd.DataFrame, bands: tuple[str, str, str]) -> bool:
    """Whether the spectra of a site, in columns of blue, red and near infrared, can be of no land."""
    return bool(find_fault(*(rows[name].values.astype(float) for name in bands), LEAST_ROWS))


def _with_resolution(result: pd.DataFrame, metres: pd.Series) -> pd.DataFrame:
    """The result with what is known of the land its rows show, as a column and in words."""
    # Without any word of it the columns stay those of the contract.
    if metres.notna().any():
        result["resolution_m"] = metres.fillna(ASSUMED_M).values
    stated = " and ".join(f"{value:g} m" for value in np.unique(metres.dropna()))
    assumed = "10 to 30 m, assumed" if metres.isna().any() else ""
    result.attrs["resolution"] = "; ".join(text for text in (stated, assumed) if text)
    return result


def embedder_of(head: cubes.DailyGppHead) -> Embedder:
    """The shipped embedder whose embeddings a head reads.

    Parameters
    ----------
    head
        Loaded.

    Returns
    -------
    Embedder
        On the CPU.

    Raises
    ------
    InputError
        When none of them is it.
    """
    from fluxlens.models import checkpoints

    # The default first: others are read for heads of earlier releases alone.
    for name in ("default", *checkpoints.shipped()):
        model = checkpoints.load(name, "cpu")
        if not head.model_digest or model.digest == head.model_digest:
            return model
    raise InputError(
        f"Got a GPP head for embeddings of the model {head.model_digest}, need one of a shipped model for a table; run"
        " `fluxlens train gpp`."
    )
