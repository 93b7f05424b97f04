"""Wind and turbulence in NetCDF of towers (OzFlux, PLUMBER2), the input of a flux footprint.

PLUMBER2 (Ukkola et al. 2022, doi:10.5194/essd-14-449-2022) keeps the wind speed without its direction; OzFlux files
(PyFluxPro, Isaac et al. 2017, doi:10.5194/bg-14-2903-2017) have all of it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from fluxlens.embeddings.towers.netcdf import is_stamped_at_end, open_tower, read_numbers
from fluxlens.embeddings.towers.netcdf_files import TowerFile, join_files
from fluxlens.embeddings.towers.stamps import Step, infer_step, ordered
from fluxlens.models.errors import InputError

# Names in small letters, the preferred first: PyFluxPro's, then PLUMBER2's, then FLUXNET's.
NAMES = {
    "wind": ("ws", "wind", "wind_speed", "ws_f"),
    "direction": ("wd", "wind_dir", "winddir", "wind_direction", "wd_f"),
    "ustar": ("ustar", "u*", "ustar_f"),
    "heat": ("fh", "qh", "h_f_mds", "h", "qh_cor"),
    "tair": ("ta", "tair", "ta_f"),
    "pressure": ("ps", "psurf", "pa", "pa_f"),
    "sigma_v": ("v_sd", "sigma_v", "v_sigma", "v_sonic_sd"),
    "variance_v": ("v_vr", "v_var", "v_sonic_vr"),
    "length": ("l", "mo_length", "obukhov_length", "monin_obukhov_length"),
}
SPEED = {"ms1": (0, 1), "m/s": (0, 1)}
# Offset and factor to our units (see ``read_wind``), by theirs in small letters without blanks and signs.
UNITS = {
    "wind": SPEED,
    "direction": {"deg": (0, 1), "degrees": (0, 1), "degree": (0, 1), "degt": (0, 1), "°": (0, 1)},
    "ustar": SPEED,
    "heat": {"wm2": (0, 1), "w/m2": (0, 1)},
    "tair": {"k": (-273.15, 1), "degc": (0, 1), "c": (0, 1)},
    "pressure": {"kpa": (0, 1), "pa": (0, 1e-3), "hpa": (0, 0.1), "mbar": (0, 0.1)},
    "sigma_v": SPEED,
    "variance_v": {"m2/s2": (0, 1), "m2s2": (0, 1)},
    "length": {"m": (0, 1)},
}


def read_wind(paths: list[Path], name: str) -> tuple[pd.DataFrame, Step, list[str]]:
    """Wind and turbulence of the NetCDF files of one tower, in the units of ``wind.turbulence``.

    Parameters
    ----------
    paths : list of Path
        One file, or its years, or its fluxes and its weather, on ``time``.
    name : str
        What several files are called in messages.

    Returns
    -------
    frame : pd.DataFrame
        By start of the step, those of ``NAMES`` with values: wind, ustar and sigma_v m s-1, direction degrees, heat
        W m-2, tair degC, pressure kPa, variance_v m2 s-2, length m.
    step : Step
        Of the rows.
    lost : list of str
        Those of ``NAMES`` that the files lack, or that are all missing.

    Raises
    ------
    InputError
        Where a file is damaged, has several places, or a variable has no units or other ones.
    """
    frame, joined = join_files(name, [_read_file(path) for path in paths])
    return frame, joined[0].step, [ours for ours in NAMES if ours not in frame]


def _read_file(path: Path) -> TowerFile:
    """One file's wind and turbulence in our units, by start of its steps."""
    with open_tower(path) as (data, variables, time):
        frame = pd.DataFrame(index=time)
        for ours, names in NAMES.items():
            # By content, as in text: the first variable with a value.
            for key in (variables[name] for name in names if name in variables):
                values = read_numbers(path.name, data[key])
                if not pd.notna(values).any():
                    continue
                units = str(data[key].attrs.get("units", "")).strip()
                # Spellings of one unit: "m s-1", "m/s" and "m.s-1"; "degrees C", "degC" and "Celsius".
                plain = (
                    re.sub(r"[\s.^*\-]", "", units.lower())
                    .replace("degreesc", "degc")
                    .replace("celsius", "c")
                )
                if plain not in UNITS[ours]:
                    raise InputError(
                        f"Got {path.name} with {key} in {units or 'no units'}, need {', '.join(UNITS[ours])}; write"
                        " them as the variable's attribute."
                    )
                offset, factor = UNITS[ours][plain]
                frame[ours] = (values + offset) * factor
                break
        attrs = dict(data.attrs)
    frame = ordered(path.name, frame)
    step = infer_step(path.name, pd.DatetimeIndex(frame.index))
    # Else each half-hour would be paired with the flux of the next one.
    if is_stamped_at_end(attrs) and step.is_subdaily:
        frame.index = frame.index - pd.Timedelta(days=1) / step.per_day
    return TowerFile(path, frame, step, attrs=attrs)
