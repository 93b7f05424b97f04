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
    """What a reader of the bare column must know besides, such as ``"-1: none"``."""

    @property
    def attrs(self) -> dict[str, str]:
        """``long_name``, then ``units``, as a cube in memory and its store carry them."""
        long_name = f"{self.long_name}, {self.note}" if self.note else self.long_name
        return {"long_name": long_name, "units": self.units}


CUBE_VARIABLES = {
    variable.name: variable
    for variable in (
        Variable("embedding", "1", "daily embedding, int8 steps of `scale`"),
        Variable(
            "sigma", "1", "expected root-mean-square error of the reflectance this embedding reconstructs"
        ),
        Variable("days_from_s2", "d", "days to the nearest clear Sentinel-2 acquisition", note="-1 = none"),
        Variable("days_from_s1", "d", "days to the nearest Sentinel-1 acquisition", note="-1 = none"),
    )
}
"""Data variables of an embedding cube, in their order. ``embedding`` is (time, y, x, feature), the others
(time, y, x)."""
SCALE = Variable("scale", "1", "value of one int8 step")
"""Coordinate of the cube along ``feature``."""
