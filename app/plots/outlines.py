"""A tower and the outlines of what it sees, to lay over a map."""

from typing import Any

import numpy as np
from fluxlens.app.data.towers.footprint import Footprint
from fluxlens.app.palette import HALO, TOWER_COLOUR
from fluxlens.app.plots.elements import load_holoviews, map_dimensions


def footprint(
    footprint_of_tower: Footprint,
    crs: str,
    tower_xy: tuple[float, float] | None = None,
    colour: str = TOWER_COLOUR,
) -> Any:
    """The outlines of a tower's footprint.

    Parameters
    ----------
    footprint_of_tower : Footprint
        As ``ExplorerData.tower_footprint`` gives it; its outlines are in metres of ``crs``.
    crs : str
        CRS of the scene, such as "EPSG:32632".
    tower_xy : tuple of float, optional
        x and y of the tower in metres; it gets a triangle.
    colour : str
        Colour #rrggbb of lines and triangle.

    Returns
    -------
    holoviews.Overlay
        Of Path, and Points where the tower is given; ``embedding_map(data) * footprint(...)`` lays it over the map.
    """
    hv = load_holoviews()
    axes = map_dimensions(crs)
    lines = [np.column_stack(line) for line in footprint_of_tower.outlines]
    # white under the coloured dashes, so that lines are seen on any map colour
    halo = hv.Path(lines, axes, label=f"{footprint_of_tower.label} ").opts(color=HALO, line_width=4)
    dashes = hv.Path(lines, axes, label=footprint_of_tower.label).opts(
        color=colour, line_width=2, line_dash="dashed"
    )
    layers = [halo, dashes]
    if tower_xy is not None:
        marker = {"marker": "triangle", "size": 13, "color": colour, "line_color": HALO}
        layers.append(hv.Points([tower_xy], axes, label="tower").opts(**marker))
    return hv.Overlay(layers)
