"""The contract of exports: columns of tables and variables of files, most of them taken from the cube and the scene."""

from __future__ import annotations

from dataclasses import replace

from fluxlens.embeddings.scenes.schema import NODES
from fluxlens.embeddings.variables import CUBE_VARIABLES, Variable

_GPP = Variable(
    "gpp",
    "gC m-2 d-1",
    "gross primary production",
    "gross_primary_productivity_of_biomass_expressed_as_carbon",
)

_TOWER = {variable.name: variable for variable in NODES["tower"].variables}


# The tower's variables keep the units of the scene contract under the names of the table.
def _of_tower(name: str, long_name: str, **changes: str) -> Variable:
    """A variable of the scene's tower; in a table it stands beside the model's, so its name says where it is from."""
    measured = _TOWER[name]
    return Variable(f"tower_{name}", measured.units, long_name, measured.standard_name, **changes)


# Every column an export may have, once: CSV headers, Parquet metadata and CF attributes all read this table.
EXPORT_VARIABLES = {
    variable.name: variable
    for variable in (
        Variable("time", "UTC day", "UTC day", "time"),
        Variable("name", "", "name of the point"),
        Variable("lon", "degrees_east", "longitude", "longitude"),
        Variable("lat", "degrees_north", "latitude", "latitude"),
        Variable("x", "m", "", "projection_x_coordinate"),
        Variable("y", "m", "", "projection_y_coordinate"),
        # A column holds sigma of many embeddings, so that "this embedding" of the cube would be wrong.
        replace(
            CUBE_VARIABLES["sigma"],
            long_name="expected root-mean-square error of the reflectance the embedding reconstructs",
        ),
        CUBE_VARIABLES["days_from_s2"],
        CUBE_VARIABLES["days_from_s1"],
        Variable(
            "observed",
            "1",
            "clear Sentinel-2 acquisition on the day",
            flags="filled observed",
            column_note="of a clear Sentinel-2 acquisition on the day; 0: filled from other days",
        ),
        _GPP,
        replace(_GPP, name="gpp_lo", long_name=f"{_GPP.long_name}, lower end of the 90 % band"),
        replace(_GPP, name="gpp_hi", long_name=f"{_GPP.long_name}, upper end of the 90 % band"),
        # No standard name: that of GPP would make readers take the deviation for a flux.
        Variable(
            "gpp_spread",
            _GPP.units,
            "standard deviation of gross primary production over the footprint",
            column_note="standard deviation over the footprint",
        ),
        Variable(
            "spread",
            "1",
            "root mean square over features of their standard deviation over the footprint",
            column_note="root mean square over features of their standard deviation over the footprint",
        ),
        Variable(
            "share",
            "1",
            "share of the footprint that lies in the scene",
            column_note="of the footprint, 1 = all of it in the scene",
        ),
        Variable(
            "ood",
            "1",
            "unlike what the GPP model was trained on",
            flags="known unlike_training",
            column_note="unlike what the GPP model was trained on",
        ),
        Variable(
            "ndvi",
            "1",
            "normalised difference vegetation index of the acquisition on the day",
            column_note="of a Sentinel-2 acquisition on the day, masked or not",
        ),
        Variable(
            "ndvi_told",
            "1",
            "normalised difference vegetation index decoded from the embedding",
            column_note="decoded from the embedding of the day, observed or filled",
        ),
        Variable(
            "clear",
            "1",
            "whether that acquisition is clear",
            flags="masked clear",
            column_note="of that acquisition; 0: cloud, shadow or snow masked",
        ),
        Variable("VV", "dB", "backscatter, vertical sent and received"),
        Variable("VH", "dB", "backscatter, vertical sent, horizontal received"),
        *NODES["weather"].variables,
        _of_tower("gpp_nt", "gross primary production measured at the tower, night-time partitioning"),
        _of_tower("gpp_dt", "gross primary production measured at the tower, day-time partitioning"),
        _of_tower(
            "qc",
            "share of measured or well filled net exchange at the tower",
            column_note="share of measured or well filled net exchange",
        ),
    )
}
"""By name as it stands in files. ``ndvi_told`` is the name of a column since the first release: it stays."""


def column_units(names: list[str]) -> dict[str, str]:
    """Units of the columns of a table, with what a reader of the bare column must know in brackets.

    Parameters
    ----------
    names
        Of the columns; those without units here, such as features, are left out.

    Returns
    -------
    dict
        By name.
    """
    known = {name: EXPORT_VARIABLES[name].column_units for name in names if name in EXPORT_VARIABLES}
    return {name: units for name, units in known.items() if units}
