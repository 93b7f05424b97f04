"""Several NetCDF files of one tower as one: its years, and the weather beside the fluxes.

OzFlux, PLUMBER2 and FluxDataKit write ``..._Met.nc`` and ``..._Flux.nc``; years are files of their own elsewhere.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings.towers.data_files import SITE
from fluxlens.embeddings.towers.stamps import Step
from fluxlens.embeddings.towers.years import TOLERANCE
from fluxlens.embeddings.unpacking import MAX_ROWS
from fluxlens.models.errors import DataWarning, InputError


@dataclass(frozen=True)
class TowerFile:
    """One file.

    Parameters
    ----------
    path : Path
        Of the file.
    frame : pd.DataFrame
        In our units, by start of the step.
    step : Step
        Of the rows.
    fluxes : dict of str to tuple of str
        Variable and units of each GPP by our name, which files of one tower share; empty where the file has none.
    attrs : dict
        Of the file, with ``lon`` and ``lat`` in degrees where it tells them.
    """

    path: Path
    frame: pd.DataFrame
    step: Step
    fluxes: dict[str, tuple[str, str]] = field(default_factory=dict)
    attrs: dict = field(default_factory=dict)

    @property
    def site(self) -> str:
        """Code of the site by the attrs, else by the name; empty where neither tells."""
        code = str(self.attrs.get("site_code", "")) or str(self.attrs.get("fluxnet_id", ""))
        named = SITE.search(self.path.name)
        return code if SITE.fullmatch(code) else named[1] if named else ""


def join_files(name: str, tower_files: list[TowerFile]) -> tuple[pd.DataFrame, list[TowerFile]]:
    """The rows and columns of the files of one tower.

    Parameters
    ----------
    name : str
        Of the folder, for messages.
    tower_files : list of TowerFile
        At least one.

    Returns
    -------
    pd.DataFrame
        (row, column), by time.
    list of TowerFile
        Those that are joined, that with the most rows of GPP first.

    Raises
    ------
    InputError
        Where the files are of several towers, or have more than ``MAX_ROWS`` rows together.

    Warns
    -----
    DataWarning
        Files of another step, with GPP of another kind, or with other numbers of the same times: left out and named.
    """
    sites = sorted({file.site for file in tower_files if file.site})
    if len(sites) > 1:
        raise InputError(
            f"Got {name} with NetCDF files of {len(sites)} towers ({', '.join(sites[:3])}), need one; give the files of"
            " one."
        )
    # What is joined to is the longest: where two processings differ, years would be of one and of the other.
    ranked = sorted(tower_files, key=lambda file: (not file.fluxes, -len(file.frame), file.path.name))
    joined, frame = ranked[:1], ranked[0].frame
    left_out: list[str] = []
    for file in ranked[1:]:
        if file.step != joined[0].step:
            left_out.append(f"{file.path.name} ({file.step.name}, not {joined[0].step.name})")
            continue
        if file.fluxes and file.fluxes != joined[0].fluxes:
            kinds = [", ".join(" in ".join(one) for one in of.fluxes.values()) for of in (file, joined[0])]
            left_out.append(f"{file.path.name} (GPP is {kinds[0]}, not {kinds[1]})")
            continue
        shared = frame.index.intersection(file.frame.index)
        columns = [column for column in file.frame if column in frame]
        ours, theirs = (one.loc[shared, columns].to_numpy(float) for one in (frame, file.frame))
        # A gap that the other file fills is no difference.
        is_known = np.isfinite(ours) & np.isfinite(theirs)
        differ = is_known & ~np.isclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)
        if differ.any():
            rows = int(differ.any(axis=1).sum())
            left_out.append(f"{file.path.name} (other values at {rows} of {len(shared)} common times)")
            continue
        # Where both have a value they agree, and that of the longer file stays.
        frame = frame.combine_first(file.frame)
        joined.append(file)
        if len(frame) > MAX_ROWS:
            raise InputError(
                f"Got {name} of {len(frame):,} rows, need at most {MAX_ROWS:,}; give fewer years."
            )
    if left_out:
        warnings.warn(
            f"{len(left_out)} of {len(tower_files)} NetCDF files of {name} are not read beside {joined[0].path.name}:"
            f" {', '.join(left_out[:5])}",
            DataWarning,
            stacklevel=5,
        )
    # Columns in the order of the files: quality stays behind its flux.
    order = list(dict.fromkeys(column for file in joined for column in file.frame))
    return frame[order], joined
