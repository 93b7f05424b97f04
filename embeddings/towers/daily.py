"""Days of finer steps, and the attrs of a tower that follow from its file's name: shared by text and NetCDF."""

from __future__ import annotations

import re
import warnings

import pandas as pd
from fluxlens.embeddings.towers.data_files import SITE
from fluxlens.embeddings.towers.gpp_columns import FLUXDATAKIT
from fluxlens.embeddings.towers.stamps import Step, ordered
from fluxlens.models.errors import DataWarning, InputError

NETWORKS = {"FLX": "FLUXNET", "AMF": "AmeriFlux", "ICOSETC": "ICOS", "EUF": "European Fluxes Database"}
# Intervals a day is cut into before its mean is formed; the first that divides the steps of a day.
INTERVALS_PER_DAY = (8, 4)


def to_days(name: str, frame: pd.DataFrame, step: Step) -> pd.DataFrame:
    """Daily means of complete days; coarser steps as they are.

    Parameters
    ----------
    name : str
        Of the file, for warnings.
    frame : pd.DataFrame
        ``gpp_*`` gC m-2 d-1, ``qc`` (a flag in half-hours: 0 measured, 1 filled well; a share 0-1 in days), ``sw_in``
        W m-2, ``tair`` degC, ``vpd`` hPa, ``precip`` mm per step, by start of the step.
    step : Step
        Of the rows.

    Returns
    -------
    pd.DataFrame
        By day without gaps in the index (weeks and months: as given). A variable is NaN on days where three hours
        in a row or more of it may be missing: a day without noon has no mean, and a night alone is no day.
        ``precip`` in mm d-1. ``qc`` is the share of all steps of the day, missing ones counted as not good.
    """
    if step.code == "DD":
        clock = pd.DatetimeIndex(frame.index) - pd.DatetimeIndex(frame.index).normalize()
        if len(clock.unique()) == 1 and clock[0] not in (pd.Timedelta(0), pd.Timedelta(hours=12)):
            raise InputError(
                f"Got {name} with days stamped at {str(clock[0])[7:12]}, need the date alone; write the local day."
            )
        frame.index = pd.DatetimeIndex(frame.index, name="time").normalize()
        # A day stamped at midnight and again at noon is twice the same day.
        return _with_shares(name, ordered(name, frame)).asfreq("D")
    if not step.is_subdaily:
        return _with_shares(name, frame)
    if "precip" in frame:
        frame["precip"] *= step.per_day
    # A mean over what is there of a day leans to the hours that are there: without noon it is low by half. So the
    # day is cut into intervals of three hours; one is known by half of its steps, and the day by all of its intervals.
    # Scattered holes of a step or two then move the mean by a few percent at most; a hole of more than three hours,
    # wherever it lies, leaves no day.
    intervals = next((count for count in INTERVALS_PER_DAY if step.per_day % count == 0), step.per_day)
    length = pd.Timedelta(days=1) / intervals
    numbers = frame.drop(columns="qc", errors="ignore")
    by_interval = numbers.resample(length, origin="start_day")
    interval_means = by_interval.mean().where(by_interval.count() >= step.per_day / intervals / 2)
    days = interval_means.resample("D")
    out = days.mean().where(days.count() == intervals)
    counts = numbers.resample("D").count()
    if "qc" in frame:
        # 0 measured, 1 filled well. A step without a flag, or without the flux in a day that has one, is not good.
        flux = next((column for column in ("gpp_nt", "gpp_dt") if column in frame), None)
        good = frame["qc"] <= 1
        known = frame["qc"].resample("D").count() > 0
        share = good.resample("D").sum() / step.per_day
        if flux is not None:
            strict = (good & frame[flux].notna()).resample("D").sum() / step.per_day
            share = share.where(out[flux].isna(), strict)
        out.insert(list(frame).index("qc"), "qc", share.where(known))
    _warn_incomplete(name, out, counts)
    return out


def _with_shares(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Days or longer with ``qc`` as a share 0-1: percent would pass any threshold."""
    high = frame["qc"].max() if "qc" in frame else 0.0
    if high > 100 or frame.get("qc", pd.Series([0.0])).min() < 0:
        raise InputError(
            f"Got {name} with a quality of {frame['qc'].min():g} to {high:g}, need a share 0 to 1; check NEE_*_QC."
        )
    # Flags of half-hours (0-3) do not occur in days: their means are shares.
    if high > 1:
        warnings.warn(
            f"the quality of {name} reaches {high:g}: read as percent and divided by 100",
            DataWarning,
            stacklevel=4,
        )
        frame = frame.assign(qc=frame["qc"] / 100)
    return frame


def _warn_incomplete(name: str, days: pd.DataFrame, counts: pd.DataFrame) -> None:
    """One warning with the count of days whose GPP has too many holes; InputError where no day is left."""
    fluxes = [column for column in ("gpp_nt", "gpp_dt") if column in days]
    if fluxes and counts[fluxes].any(axis=None) and days[fluxes].isna().all(axis=None):
        raise InputError(
            f"Got {name} of {int(counts[fluxes].any(axis=1).sum())} days, none of which has GPP in all of its parts,"
            " need whole days; give a longer file."
        )
    for flux in [column for column in ("gpp_nt", "gpp_dt") if column in days][:1]:
        some = counts[flux] > 0
        lost = some & days[flux].isna()
        if lost.any():
            warnings.warn(
                f"{int(lost.sum())} of {int(some.sum())} days of {name} are left out: a part of the day has no GPP",
                DataWarning,
                stacklevel=4,
            )


def attrs_of_tower(name: str, step: Step) -> dict[str, object]:
    """Attrs of a tower that follow from its file's name and time step.

    Parameters
    ----------
    name : str
        Of the data file.
    step : Step
        Of its rows.
    """
    site = SITE.search(name)
    is_daily = step.is_subdaily or step.code == "DD"
    return {
        "site": site[1] if site else re.sub(r"\.\w+$", "", name),
        "source": name,
        "network": "FluxDataKit" if FLUXDATAKIT.search(name) else NETWORKS.get(name.split("_")[0], ""),
        "resolution": "daily" if is_daily else step.name,
        "source_resolution": step.name,
        "time_zone": "local standard time",
        "units": "gC m-2 d-1",
        "simulated": 0,
    }
