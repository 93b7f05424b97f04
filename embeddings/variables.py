"""Variables of the data contracts: name, units and meaning, stated once for readers, stores and exports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """One variable of a contract, with what CF attributes say of it."""

    name: str
    units: str
    """UDUNITS text; ``"1"`` for a bare number."""
    long_name: str = ""
    standard_name: str = ""
    """Of the CF standard name table, where there is one."""
    flags: str = ""
    """CF ``flag_meanings`` of 0 and 1, separated by a space."""
    note: str = ""
    """What belongs behind the long name of the stored variable, such as ``"-1 = none"``."""
    column_note: str = ""
    """What a reader of a bare column of a table must know besides the units, such as ``"reflectance 0-1"``."""

    @property
    def attrs(self) -> dict[str, str]:
        """``long_name``, then ``units``, as a cube in memory and its store carry them."""
        # CF has no attribute for such a note, and a reader sees ``long_name`` beside the axis.
        long_name = f"{self.long_name}, {self.note}" if self.note else self.long_name
        return {"long_name": long_name, "units": self.units}

    @property
    def column_units(self) -> str:
        """Units, and in brackets the column's note, as tables carry them."""
        return f"{self.units} ({self.column_note})" if self.column_note else self.units


CUBE_VARIABLES = {
    variable.name: variable
    for variable in (
        # No standard names: the CF table has none for embeddings and their quality.
        Variable("embedding", "1", "daily embedding, int8 steps of `scale`"),
        Variable(
            "sigma",
            "1",
            "expected root-mean-square error of the reflectance this embedding reconstructs",
            column_note="reflectance 0-1",
        ),
        Variable(
            "days_from_s2",
            "d",
            "days to the nearest clear Sentinel-2 acquisition",
            note="-1 = none",
            column_note="-1: none",
        ),
        Variable(
            "days_from_s1",
            "d",
            "days to the nearest Sentinel-1 acquisition",
            note="-1 = none",
            column_note="-1: none",
        ),
    )
}
"""Data variables of an embedding cube, in their order. ``embedding`` is (time, y, x, feature), the others
(time, y, x)."""
GPP_COLUMNS = ("gpp", "gpp_lo", "gpp_hi")
"""Variables, and columns of tables, of a GPP prediction: the value and the ends of its 90 % band, gC m-2 d-1."""
SCALE = Variable("scale", "1", "value of one int8 step")
"""Coordinate of the cube along ``feature``."""
