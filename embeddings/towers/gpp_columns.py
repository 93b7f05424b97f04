"""Which columns of a FLUXNET file carry GPP, and in what units: by their content, the file's word or its kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pandas as pd
from fluxlens.embeddings.scenes.schema import GPP_PERCENTILES
from fluxlens.embeddings.towers.data_files import BASE
from fluxlens.embeddings.towers.sensor_columns import team_gpp_columns
from fluxlens.embeddings.towers.stamps import Step
from fluxlens.embeddings.units import GC_PER_UMOL, is_stated, parse_carbon_flux
from fluxlens.models.errors import InputError

THRESHOLDS = ("VUT", "CUT")
"""Friction velocity threshold of the fluxes: one per year (VUT), or one for all years (CUT)."""

VARIANTS = ("REF", "MEAN", "50", "USTAR50")
"""Which of the forty realisations of net exchange is partitioned, the recommended first (Pastorello et al. 2020)."""

REDDYPROC = {
    "nt": re.compile(r"GPP(?:_(USTAR|U\d\d))?_F"),
    "dt": re.compile(r"GPP_DT(?:_(USTAR|U\d\d))?"),
    "qc": re.compile(r"NEE(?:_(USTAR|U\d\d))?_FQC"),
}
"""Columns of REddyProc (Wutzler et al. 2018, Biogeosciences 15:5015), with the scenario of the friction velocity."""

BARE = {"nt": "GPP_NT", "dt": "GPP_DT"}
"""Names without a threshold, as FLUXNET-CH4 and people's own tables have them."""
NOT_TOLD = "not told"
"""The threshold of ``BARE``."""
METHANE = "FLUXNET-CH4"
"""In names of files of the methane product, in capitals."""

SCENARIOS = ("USTAR", "U50", "")
"""Of REddyProc, the preferred first; others follow."""

FLUXDATAKIT = re.compile(r"FLUXDATAKIT", re.IGNORECASE)
# A column of a lower rank is taken where the better one has less than this share of its values.
WORTHWHILE_SHARE = 0.5


@dataclass(frozen=True)
class GppColumns:
    """Columns of GPP and its quality, theirs by ours.

    Parameters
    ----------
    columns : dict of str to str
        Names in the file by ours; while choosing, ours are ``gpp_METHOD|COLUMN``.
    fluxes : dict of str to str
        Chosen column by method, ``nt`` and ``dt``.
    threshold : str
        VUT or CUT of the first of them, ``NOT_TOLD`` of ``BARE``; empty of GPP as a site's team gives it.
    """

    columns: dict[str, str]
    fluxes: dict[str, str]
    threshold: str

    def with_data(self, name: str, frame: pd.DataFrame) -> tuple[GppColumns, pd.DataFrame]:
        """The choice by content: per method the first column that is not (nearly) empty beside another.

        Parameters
        ----------
        name : str
            Of the file, for errors.
        frame : pd.DataFrame
            All candidates as read.

        Returns
        -------
        tuple
            The columns chosen, and the frame with them by our names.

        Raises
        ------
        InputError
            Where every column of GPP is all missing.
        """
        counts = frame.count()
        fluxes: dict[str, str] = {}
        for method in ("nt", "dt"):
            options = [key for key in self.columns if key.startswith(f"gpp_{method}|")]
            most = max((int(counts[key]) for key in options), default=0)
            for key in options:
                if counts[key] > 0 and counts[key] >= WORTHWHILE_SHARE * most:
                    fluxes[method] = self.columns[key]
                    break
        if not fluxes:
            empty = [column for key, column in self.columns.items() if "|" in key and key.startswith("gpp")]
            raise InputError(
                f"Got {name} without a single day of GPP: {', '.join(empty[:4])} is missing in all {len(frame)} rows,"
                " need values; give another tower or product."
            )
        first = fluxes.get("nt", fluxes.get("dt", ""))
        threshold = self.threshold or next((kind for kind in THRESHOLDS if f"_{kind}_" in first), "")
        if not threshold and first in BARE.values():
            threshold = NOT_TOLD
        named = {f"gpp_{method}": column for method, column in fluxes.items()}
        for method, column in fluxes.items():
            kind = next((kind for kind in THRESHOLDS if f"_{kind}_" in column), "")
            named |= {
                f"gpp_{method}_{share}": f"GPP_{method.upper()}_{kind}_{share}"
                for share in GPP_PERCENTILES
                if f"GPP_{method.upper()}_{kind}_{share}" in self.columns.values()
            }
        # Quality of the net exchange that was partitioned, else that of the other threshold.
        qualities = [key for key in self.columns if key.startswith("qc|")]
        qualities.sort(key=lambda key: f"_{threshold}_" not in key and threshold != "REddyProc")
        quality = next((key for key in qualities if counts[key] > 0), qualities[0] if qualities else None)
        if quality is not None:
            named["qc"] = self.columns[quality]
        by_column = {column: key for key, column in self.columns.items()}
        weather = [key for key in frame if "|" not in key]
        keep = [by_column[column] for column in named.values()]
        # A percentile may be the flux itself (_50): taken by position, since a frame has a column once.
        chosen = frame[keep].set_axis(list(named), axis=1)
        chosen = chosen[
            # Percentiles without a value are left out; fluxes without one were, above.
            [column for column in chosen if not column[-2:].isdigit() or chosen[column].notna().any()]
        ]
        return replace(self, columns=named, fluxes=fluxes, threshold=threshold), pd.concat(
            [chosen, frame[weather]], axis=1
        )


def has_gpp(header: list[str]) -> bool:
    """Whether a header has a column of GPP.

    Parameters
    ----------
    header : list of str
        In capitals.
    """
    return is_partitioned(header) or is_reddyproc(header) or bool(team_gpp_columns(header))


def is_partitioned(header: list[str]) -> bool:
    """Whether a header has a column of GPP whose name tells the method of partitioning.

    Parameters
    ----------
    header : list of str
        In capitals.
    """
    return is_bare(header) or any(column in header for method in ("NT", "DT") for column in _options(method))


def is_bare(header: list[str]) -> bool:
    """Whether a header has GPP whose name tells the method alone, ``GPP_NT`` and ``GPP_DT``.

    Parameters
    ----------
    header : list of str
        In capitals.
    """
    # REddyProc has a GPP_DT too, beside GPP_F or its flags, and in rows of its own kind of stamps.
    marks = (*map(REDDYPROC["nt"].fullmatch, header), *map(REDDYPROC["qc"].fullmatch, header))
    is_fluxnet = any(column.startswith("TIMESTAMP") for column in header) and not any(marks)
    return BARE["nt"] in header or (BARE["dt"] in header and is_fluxnet)


def is_reddyproc(header: list[str]) -> bool:
    """Whether a header has GPP as REddyProc writes it, beside its flags of net exchange.

    Parameters
    ----------
    header : list of str
        In capitals.
    """
    if is_bare(header):
        return False
    return all(any(map(pattern.fullmatch, header)) for pattern in (REDDYPROC["nt"], REDDYPROC["qc"])) or any(
        map(REDDYPROC["dt"].fullmatch, header)
    )


def _of_reddyproc(header: list[str], kind: str) -> list[str]:
    """Columns of a kind of ``REDDYPROC``, the preferred scenario first."""
    scenarios = [(match[1] or "", match[0]) for match in map(REDDYPROC[kind].fullmatch, header) if match]
    rank = {scenario: at for at, scenario in enumerate(SCENARIOS)}
    return [column for _, column in sorted(scenarios, key=lambda one: (rank.get(one[0], len(rank)), one[1]))]


def choose_gpp(table) -> GppColumns:
    """All columns of a table that may carry GPP, its percentiles and its quality.

    Parameters
    ----------
    table : TowerTable
        Only its ``header`` is looked at.
    """
    header = set(table.header)
    if not is_partitioned(table.header) and is_reddyproc(table.header):
        return GppColumns(
            {
                f"{key}|{name}": name
                for key, kind in (("gpp_nt", "nt"), ("gpp_dt", "dt"), ("qc", "qc"))
                for name in _of_reddyproc(table.header, kind)
            },
            {},
            "REddyProc",
        )
    if not is_partitioned(table.header):
        # The method is not told. As of NetCDF: of night-time respiration, the usual one.
        return GppColumns({f"gpp_nt|{name}": name for name in team_gpp_columns(table.header)}, {}, "")
    columns: dict[str, str] = {}
    for method in ("nt", "dt"):
        options = [*_options(method.upper()), *([BARE[method]] if is_bare(table.header) else [])]
        columns |= {f"gpp_{method}|{name}": name for name in options if name in header}
    for method in ("nt", "dt"):
        for kind in THRESHOLDS:
            for share in GPP_PERCENTILES:
                name = f"GPP_{method.upper()}_{kind}_{share}"
                if name in header and f"gpp_{method}|{name}" not in columns:
                    columns[f"p{method}{share}|{name}"] = name
    for kind in THRESHOLDS:
        for variant in VARIANTS:
            name = f"NEE_{kind}_{variant}_QC"
            if name in header:
                columns[f"qc|{name}"] = name
    return GppColumns(columns, {}, "")


def _options(method: str) -> list[str]:
    """Columns of a method's GPP, the recommended one first."""
    # The variant outranks the threshold: CUT_REF comes before VUT_MEAN.
    return [f"GPP_{method}_{kind}_{variant}" for variant in VARIANTS for kind in THRESHOLDS]


def factor_of_units(text: str, step: Step, is_carbon: bool = False) -> float | None:
    """gC m-2 d-1 per unit of a flux of carbon or CO2, by its units as text; None where they are none.

    Parameters
    ----------
    text : str
        As of ``units.parse_carbon_flux``.
    step : Step
        Of the rows: grams without a time are of each day in files of days (OzFlux's summaries), and not known in
        others.
    is_carbon : bool
        As of ``units.parse_carbon_flux``.
    """
    unit = parse_carbon_flux(text, is_carbon)
    return None if unit is None or (unit.amount and step.code != "DD") else unit.factor


def source_units(name: str, units: dict[str, str], choice: GppColumns, step: Step) -> tuple[str, str, float]:
    """Units of the GPP in a file: by its own line of units, else by its kind.

    Parameters
    ----------
    name : str
        Of the file.
    units : dict of str to str
        By column, where the file tells them.
    choice : GppColumns
        With ``fluxes``.
    step : Step
        Of the rows.

    Returns
    -------
    tuple of str, str, float
        The units, how they are known, and gC m-2 d-1 per unit.

    Raises
    ------
    InputError
        For units of the file that are not understood, or that nothing tells.
    """
    stated = {flux: units.get(flux, "").strip("[] ") for flux in choice.fluxes.values()}
    stated = {flux: unit for flux, unit in stated.items() if is_stated(unit)}
    if len({factor_of_units(unit, step) for unit in stated.values()}) > 1:
        both = " and ".join(f"{flux} in {unit!r}" for flux, unit in stated.items())
        raise InputError(f"Got {name} with {both}, need one unit of both; convert one of them.")
    column, unit = next(iter(stated.items()), (next(iter(choice.fluxes.values())), ""))
    if unit:
        factor = factor_of_units(unit, step)
        if factor is None:
            raise InputError(
                f"Got {name} with {column} in {unit!r}, need umol m-2 s-1 or gC m-2 d-1; convert it."
            )
        return unit, "told by the file", factor
    # Daily tables of AmeriFlux have no GPP of a team: such a file is somebody's own, in units nobody knows.
    if not choice.threshold and not (step.is_subdaily and (BASE.search(name) or "_PI" in column)):
        raise InputError(
            f"Got {name} with {column} in no units, need them told, or columns such as GPP_NT_VUT_REF; write the units"
            " (umol m-2 s-1 or gC m-2 d-1) in a row below the header."
        )
    if choice.threshold == "REddyProc" and not step.is_subdaily:
        raise InputError(
            f"Got {name} with {column} of days in no units, need them told, or the half-hours as REddyProc writes them;"
            " write the units (umol m-2 s-1 or gC m-2 d-1) in a row below the header."
        )
    if METHANE in name.upper() and choice.threshold == NOT_TOLD and not step.is_subdaily:
        raise _methane_of_days(name, column)
    if step.is_subdaily:
        kind = "AmeriFlux BASE" if not choice.threshold else f"{step.name} files"
        return "umol m-2 s-1", kind, GC_PER_UMOL
    # The name alone tells: its columns are called as FLUXNET calls those of daily files in gC.
    if FLUXDATAKIT.search(name):
        # FluxDataKit's days are means of its half-hours in their units
        # (Hufkens and Stocker, doi:10.5281/zenodo.8403081).
        return "umol m-2 s-1", "FluxDataKit's daily means", GC_PER_UMOL
    return "gC m-2 d-1", f"{step.name} files of FLUXNET", 1.0


def check_methane(name: str, header: list[str], units: dict[str, str]) -> None:
    """InputError for a file of FLUXNET-CH4 whose name says days and which tells no units of GPP.

    Parameters
    ----------
    name : str
        Of the file.
    header : list of str
        In capitals.
    units : dict of str to str
        By column, where the file tells them.
    """
    bare = [column for column in BARE.values() if column in header]
    is_told = any(is_stated(units.get(column, "").strip("[] ")) for column in bare)
    others = any(column in header for method in ("NT", "DT") for column in _options(method))
    if METHANE in name.upper() and bare and "_DD_" in name and not is_told and not others:
        raise _methane_of_days(name, bare[0])


def _methane_of_days(name: str, column: str) -> InputError:
    """The error of days of FLUXNET-CH4 without units."""
    # Its methane is nmol m-2 s-1 in files of days as well, so that the step does not tell the unit of GPP.
    return InputError(
        f"Got {name}, a file of FLUXNET-CH4 (methane) with {column} of days in no units, need them told; give its"
        " half-hours (HH), or write umol m-2 s-1 or gC m-2 d-1 in a row below the header."
    )
