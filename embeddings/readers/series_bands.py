"""Bands of series tables, by the usual spellings and in the usual units: reflectance and backscatter."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
from fluxlens.embeddings import text_cells
from fluxlens.embeddings.readers import baselines
from fluxlens.embeddings.readers.band_names import PREFIX, common_names, like_backscatter
from fluxlens.embeddings.readers.radar import AMPLITUDE_LIKE
from fluxlens.embeddings.readers.reflectance_units import DARKEST
from fluxlens.embeddings.text_cells import find_column, plain_name
from fluxlens.models.errors import DataWarning, InputError
from fluxlens.models.sensors import SENSORS

REFLECTANCE_MAX_MEDIAN = 1.5
"""A series of reflectance 0-1 has a lower median, snow included; digital numbers have a higher one."""

DN_MIN_MEDIAN = 30.0

DN_PER_REFLECTANCE = 10_000.0

OFFSET_DN = float(-baselines.OFFSET)
"""Added to digital numbers by ESA since processing baseline 04.00 (2022-01-25); Earth Engine's S2_SR keeps it."""

OFFSET_FIRST_DAY = int(baselines.OFFSET_SINCE.astype(np.int64))
"""2022-01-25 in days since 1970-01-01."""

PRODUCT_COLUMNS = (*(name for name in baselines.PRODUCTS if name != "id"), "product")
"""Columns with names of ESA's products; ``id`` names the series here."""

MIXED_SHARE = 0.1
"""Of VV and VH above 0 dB; over land single bright targets reach it."""

MIN_BANDS = 2
"""Bands below which a table is not taken for one of Sentinel-2."""


def band_columns(columns: list[str], what: str = "the table") -> dict[str, str]:
    """Which column holds which band of Sentinel-2.

    Parameters
    ----------
    columns : list of str
        Column names as they stand in a table.
    what : str
        The table in words, for messages.

    Returns
    -------
    dict of str to str
        Band (B02 ... B12) to column.

    Raises
    ------
    InputError
        If two columns are one band, or the numbers could be Landsat's.
    """
    column_of: dict[str, str] = {}
    bands = SENSORS["s2"].bands
    common = common_names(_without_reducer(column) for column in columns)
    for column in columns:
        # A name that the header has twice is numbered by the reader.
        if (again := re.fullmatch(r"(.+)\.\d", str(column))) and again[1] in columns:
            column = again[1]
        plain = plain_name(PREFIX.sub("", _without_reducer(column))).removeprefix("sr").removeprefix("s2")
        number = re.fullmatch(r"b(?:and)?0?(\d{1,2}|8a)", plain)
        band = f"B{number.group(1).upper().zfill(2)}" if number else ""
        if not number:
            band = common.get(plain, "")
        if band not in bands:
            continue
        # Two columns of one band, such as B4 and red: choosing one would be a guess.
        if band in column_of:
            if column_of[band] == column:
                raise InputError(
                    f"Got {what} with the column {column} twice, need it once; remove the other."
                )
            raise InputError(
                f"Got {what} with {column_of[band]} and {column}, which are both {band}, need one; remove the other."
            )
        column_of[band] = str(column)
    by_number = {
        band
        for band, column in column_of.items()
        if re.search(r"\d$", column) and "swir" not in column.lower()
    }
    # b2 ... b7 alone are the bands of harmonised Landsat and Sentinel-2 tables as well, whose b5 is near infrared
    named = set(column_of)
    if by_number == named and not named & {"B08", "B8A", "B11", "B12"} and "B05" in named:
        raise InputError(
            f"Got {what} with {', '.join(column_of.values())} alone, whose b5 is red edge in Sentinel-2 and near"
            " infrared in Landsat, need names that tell them apart; rename the columns to B02 ... B12 or"
            " blue ... swir2."
        )
    return column_of


def _without_reducer(column: str) -> str:
    """A column's name without reducers before or behind the band's, and the resolutions of Sentinel Hub behind it."""
    bare = re.sub(r"(?i)^(mean|median|avg|first|p50)[_ .]", "", str(column).strip())
    return re.sub(r"(?i)[_ .]?(mean|median|avg|first|p50|(10|20|60)m)$", "", bare)


def to_reflectance(table: pd.DataFrame, days: np.ndarray, what: str) -> np.ndarray:
    """Reflectance of Sentinel-2; digital numbers are converted with a ``DataWarning``.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    days : numpy.ndarray
        (row,) days since 1970-01-01, by which the offset of newer processing is found.
    what : str
        The table in words, for messages.

    Returns
    -------
    numpy.ndarray
        (row, band) reflectance 0-1 in the order of the sensor's bands, NaN where not measured.

    Raises
    ------
    InputError
        Where bands are missing, or their numbers are neither reflectance nor digital numbers.
    """
    spec = SENSORS["s2"]
    columns = band_columns([str(name) for name in table.columns], what)
    if len(columns) < MIN_BANDS:
        advice = _pivot_advice(table, spec.bands) or "rename them"
        raise InputError(
            f"Got {what} with the columns {', '.join(map(str, table.columns))[:80]}, need bands of Sentinel-2 under a"
            f" usual name (B02 ... B12, B2, blue ... swir2); {advice}."
        )
    values = np.full((len(table), len(spec.bands)), np.nan)
    for band, column in columns.items():
        values[:, spec.bands.index(band)] = text_cells.to_numbers(table[column], what)
    # No land is black in all bands: exports fill what lies outside of an image, or is masked, with zeros.
    values[(np.nan_to_num(values) == 0).all(axis=1)] = np.nan
    if not np.isfinite(values).any():
        raise InputError(
            f"Got {what} without a single number in its bands, need reflectance 0-1; check the file."
        )
    # The median decides on the unit: snow and clouds reach beyond 1 as reflectance, dark water to 100 as numbers.
    middle = float(np.nanmedian(values))
    _check_one_unit(values, middle, columns, what)
    if middle <= REFLECTANCE_MAX_MEDIAN:
        high = float(np.nanquantile(values, 0.99))
        if high < DARKEST:
            raise InputError(
                f"Got {what} with reflectance of {high:.2g} at most, need 0 to 1; if it was divided by 10000 twice,"
                " multiply by 10000."
            )
        return values
    if middle < DN_MIN_MEDIAN:
        raise InputError(
            f"Got bands of {middle:.3g} at the median in {what}, neither reflectance 0-1 nor digital numbers 0-10000,"
            " need one of them; if they are percent, divide by 100; if points separate thousands, take"
            " them out."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # bands without a number
        highest = np.nanmax(values, axis=0)
    small = [band for band in columns if 0 < highest[spec.bands.index(band)] < DN_MIN_MEDIAN]
    if small:
        raise InputError(
            f"Got {what} with {columns[small[0]]} of {highest[spec.bands.index(small[0])]:g} at most among digital"
            f" numbers ({middle:.0f} at the median), need one unit for all; if its marks separate thousands, take them"
            " out."
        )
    # After the unit is known: zero is a valid reflectance, but no digital number.
    values[values == 0] = np.nan  # no data in the products
    words = f"divided by {DN_PER_REFLECTANCE:g}"
    due, offset_words = _offset_due(table, days, values, what)
    values[due] -= OFFSET_DN
    words += offset_words
    warnings.warn(
        f"Got digital numbers ({middle:.0f} at the median) in {what}: {words}.", DataWarning, stacklevel=3
    )
    return values / DN_PER_REFLECTANCE


def _pivot_advice(table: pd.DataFrame, bands: tuple[str, ...]) -> str:
    """What to do with a table of one row per band; empty where it is none."""
    names = {band.lower() for band in bands}
    for column in table.columns:
        if pd.api.types.is_numeric_dtype(table[column].dtype):
            continue
        cells = table[column].iloc[:200].astype(str).str.strip().str.lower()
        if len(cells) and cells.isin(names).all():
            return f"its column {column} names them, one row per band, so reshape it to one column per band"
    return ""


def _offset_due(
    table: pd.DataFrame, days: np.ndarray, values: np.ndarray, what: str
) -> tuple[np.ndarray, str]:
    """Which rows (row,) carry the offset of newer processing, by (row, band) digital numbers; and words on it.

    The table's own word on the baseline of a row decides. Without one, rows before 2022 are believed to be of an older
    baseline and stay as they are, and newer rows are judged by their darkest numbers beside those of older rows.
    """
    baseline, applied = _stated_baselines(table)
    visible = values[:, [SENSORS["s2"].bands.index(band) for band in ("B02", "B03", "B04")]]
    due = (baseline >= baselines.OFFSET_BASELINE) & ~applied
    if due.any():
        numbers = visible[due][np.isfinite(visible[due])]
        # With the offset in, clear land has hardly a number below 1000; harmonised exports keep the word on the
        # baseline and have most of theirs below.
        if len(numbers) and (numbers < OFFSET_DN).mean() > 0.1:
            return np.zeros(len(table), bool), (
                f"; {int(due.sum())} rows of baseline 04.00 or later have numbers below {OFFSET_DN:g}: the offset is"
                " taken to be off already"
            )
    words = f" after {OFFSET_DN:g} were taken off the {int(due.sum())} rows of baseline 04.00 or later"
    words = words if due.any() else ""
    silent = np.isnan(baseline) & ~applied
    darkest, middle = {}, {}
    for age, rows in (
        ("new", silent & (days >= OFFSET_FIRST_DAY)),
        ("old", silent & (days < OFFSET_FIRST_DAY)),
    ):
        numbers = visible[rows][np.isfinite(visible[rows])]
        if len(numbers):
            darkest[age], middle[age] = np.percentile(numbers, 1), np.median(numbers)
    # No clear land but bright desert is darker than 0.1 in the visible on all of a table's dates.
    bright = [age for age, number in darkest.items() if number >= OFFSET_DN]
    is_step = "old" not in bright or middle.get("new", 0) - middle["old"] > OFFSET_DN / 2
    if "new" in bright and is_step:
        due |= silent & (days >= OFFSET_FIRST_DAY)
        words += f"{' and' if words else ' after'} {OFFSET_DN:g} were taken off the dates from 2022-01-25 on"
        words += " (processing baseline 04.00)"
        bright.remove("new")
    if bright:
        words += (
            f"; no number of the visible bands is below {min(darkest[age] for age in bright):.0f}: if the offset of"
            f" {OFFSET_DN:g} is still in them, add a column processing_baseline"
        )
    return due, words


def _stated_baselines(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Baseline of each row (row,), NaN where the table does not say, and whether its offset is off already."""

    def texts(keys: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray] | None:
        column = find_column(table, tuple(plain_name(key).replace(":", "") for key in keys))
        if column is None:
            return None
        # Some texts stand in many rows. A missing one becomes a text: else its code is -1, the last one's place.
        return pd.factorize(table[column].astype(str).str.strip().fillna(""))

    baseline, applied = np.full(len(table), np.nan), np.zeros(len(table), bool)
    if (coded := texts(baselines.BASELINES)) is not None:
        baseline = np.array([baselines.parse_baseline(text) for text in coded[1]])[coded[0]]
    elif (coded := texts(PRODUCT_COLUMNS)) is not None:
        baseline = np.array([baselines.baseline_of_product(text) for text in coded[1]])[coded[0]]
    if (coded := texts(baselines.APPLIED)) is not None:
        applied = np.array([baselines.is_applied(text) for text in coded[1]])[coded[0]]
    return baseline, applied


def _check_one_unit(values: np.ndarray, middle: float, columns: dict[str, str], what: str) -> None:
    """InputError where some rows or bands of (row, band) are in another unit than the table's median is."""
    filled = values[np.isfinite(values).any(axis=1)]
    bands = SENSORS["s2"].bands
    # Zero is no data in products, and no sign of either unit.
    numbers = np.where(filled == 0, np.nan, filled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows and bands without a number
        by_row, by_band = np.nanmedian(numbers, axis=1), np.nanmedian(numbers, axis=0)
    is_reflectance = middle <= REFLECTANCE_MAX_MEDIAN
    for medians, one in ((by_row, "rows"), (by_band, "bands")):
        other = medians >= DN_MIN_MEDIAN if is_reflectance else medians <= REFLECTANCE_MAX_MEDIAN
        if other.any() and (middle >= DN_MIN_MEDIAN or is_reflectance):
            units = ("digital numbers", "reflectance 0-1")
            which = f" ({columns[bands[int(other.argmax())]]})" if one == "bands" else ""
            raise InputError(
                f"Got {what} with {int(other.sum())} {one}{which} of {units[not is_reflectance]} among"
                f" {units[is_reflectance]}, need one unit for all; convert them."
            )


def to_backscatter(table: pd.DataFrame, what: str) -> np.ndarray:
    """Backscatter of Sentinel-1; linear power is converted with a ``DataWarning``.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    what : str
        The table in words, for messages.

    Returns
    -------
    numpy.ndarray
        (row, band) VV and VH in dB, NaN where not measured.

    Raises
    ------
    InputError
        Where neither is there, or the numbers are no dB.
    """
    spec = SENSORS["s1"]
    plain = {}
    for column in table.columns:
        # Products name the polarisation with the quantity: VV_gamma0_dB, Sigma0_VH.
        name = re.sub(
            r"gamma0?|sigma0?|sentinel1|s1|db|mean|median|first|p50|rtc|lin(ear)?|power",
            "",
            plain_name(column),
        )
        if name in ("vv", "vh"):
            plain.setdefault(name.upper(), column)
    if not plain:
        advice = _pivot_advice(table, ("vv", "vh")) or "rename them"
        raise InputError(
            f"Got {what} with the columns {', '.join(map(str, table.columns))[:80]}, need VV, VH in dB; {advice}."
        )
    if unread := [one for one in like_backscatter(map(str, table.columns)) if one not in plain.values()]:
        warnings.warn(
            f"{', '.join(unread[:5])} of {what} look like backscatter and are not read.",
            DataWarning,
            stacklevel=3,
        )
    values = np.full((len(table), len(spec.bands)), np.nan)
    for band, column in plain.items():
        values[:, spec.bands.index(band)] = text_cells.to_numbers(table[column], what)
    if not np.isfinite(values).any():
        raise InputError(f"Got {what} without a single number in VV and VH, need dB; check the file.")
    values, rows_zero = _without_zeros(values)
    middle = float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0
    # Each band by itself, and each row: one in another unit would be a plausible, wrong number.
    signs = [np.sign(np.nanmedian(column)) for column in values.T if np.isfinite(column).any()]
    positive = float((values[np.isfinite(values)] > 0).mean()) if np.isfinite(values).any() else 0.0
    if len(set(signs)) > 1 or (middle < 0 and positive > MIXED_SHARE):
        raise InputError(
            f"Got {what} with {positive:.0%} of VV and VH above 0, which are linear power, and the others in dB, need"
            " one unit for all; convert them."
        )
    if 0 <= middle < 2:
        words = "which are linear power: converted to dB"
        # Over land power is 0.01 to 0.2; its square root lies far above.
        if any(
            np.nanmedian(values[:, spec.bands.index(band)]) > AMPLITUDE_LIKE[band]
            for band in plain
            if np.isfinite(values[:, spec.bands.index(band)]).any()
        ):
            words = "taken for linear power and converted to dB, which look like amplitude; if they are, square them"
        warnings.warn(
            f"Got VV, VH of {middle:.3g} at the median in {what}, {words}.", DataWarning, stacklevel=3
        )
        # Noise subtraction leaves powers of zero or less, which have no decibel.
        return 10 * np.log10(np.where(values > 0, values, np.nan))
    if not spec.valid_range[0] < middle < 0:
        advice = "divide by 100" if -4000 < middle < -200 else "convert them"
        raise InputError(
            f"Got VV, VH of {middle:.4g} at the median in {what}, need dB (about -5 to -25 over land); {advice}."
        )
    if rows_zero:
        warnings.warn(
            f"{rows_zero} of {len(values)} rows of {what} have VV or VH of exactly 0, which is no value in dB: taken as"
            " missing.",
            DataWarning,
            stacklevel=3,
        )
    return values


def _without_zeros(values: np.ndarray) -> tuple[np.ndarray, int]:
    """(row, band) with NaN for exactly 0, which exports write where there is no value; and the number of such rows."""
    zero = values == 0
    return np.where(zero, np.nan, values), int(zero.any(axis=1).sum())
