"""Wind and turbulence in NetCDF of towers (OzFlux, PLUMBER2), the input of a flux footprint.

PLUMBER2 (Ukkola et al. 2022, doi:10.5194/essd-14-449-2022) keeps the wind speed without its direction; OzFlux files
(PyFluxPro, Isaac et al. 2017, doi:10.5194/bg-14-2903-2017) have all of it.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from fluxlens.embeddings.towers.netcdf import is_stamped_at_end, open_tower, read_numbers
from fluxlens.embeddings.towers.netcdf_files import TowerFile, join_files
from fluxlens.embeddings.towers.stamps import Step, infer_step, ordered
from fluxlens.embeddings.towers.wind_units import WIND_UNITS
from fluxlens.embeddings.units import parse_unit
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
                unit = parse_unit(ours, units)
                if unit is None:
                    raise InputError(
                        f"Got {path.name} with {key} in {units or 'no units'}, need {WIND_UNITS[ours]}; write"
                        " them as the variable's attribute."
                    )
                frame[ours] = unit.convert(values)
                break
        attrs = dict(data.attrs)
    frame = ordered(path.name, frame)
    step = infer_step(path.name, pd.DatetimeIndex(frame.index))
    # Else each half-hour would be paired with the flux of the next one.
    if is_stamped_at_end(attrs) and step.is_subdaily:
        frame.index = frame.index - pd.Timedelta(days=1) / step.per_day
    return TowerFile(path, frame, step, attrs=attrs)
