"""What lies over and under the map's layer, as marks of one HoloViews overlay: places, areas, labels, tower, box."""

from typing import Any

import numpy as np
from fluxlens.app.palette import HALO, PLACE_COLOURS, TOWER_COLOUR
from fluxlens.app.plots.colour import label_colours
from fluxlens.app.plots.marks import NO_IMAGE, Mark, make_element
from fluxlens.app.state.labels import Label
from fluxlens.app.state.place import Place
from fluxlens.embeddings.geometry import Grid

DARK = "#16202c"


def map_marks() -> list[Mark]:
    """The marks of the map, from the lowest to the highest: basemap, layer, computed box, outlines, markers."""
    points, lines = ("x", "y", "colour"), ("xs", "ys", "colour")
    # Open markers: the pixel below stays visible.
    ring = {"size": 20, "fill_alpha": 0}
    square = {"marker": "square", "line_color": DARK, "line_width": 1}
    return [
        Mark("basemap", "RGB", "basemap", ()),
        Mark("layer", "RGB", "layer", ()),
        Mark("computed box", "RGB", "fresh", ()),
        Mark("pixels of the feature space", "RGB", "marked", ()),
        # Two strokes, dark under dashed light, are visible on any image.
        Mark("frame of the box, dark", "Path", "box", lines, {"color": DARK, "line_width": 2}),
        Mark(
            "frame of the box", "Path", "box", lines, {"color": HALO, "line_width": 2, "line_dash": "dashed"}
        ),
        Mark("areas, halo", "Path", "areas", lines, {"color": HALO, "line_width": 4}),
        Mark("areas", "Path", "areas", lines, {"line_width": 2}),
        Mark("footprint, halo", "Path", "footprint", lines, {"color": HALO, "line_width": 4}),
        Mark(
            "footprint",
            "Path",
            "footprint",
            lines,
            {"color": TOWER_COLOUR, "line_width": 2, "line_dash": "dashed"},
        ),
        Mark(
            "tower",
            "Points",
            "tower",
            points,
            {"marker": "triangle", "size": 13, "line_color": HALO, "line_width": 1.5},
        ),
        # On a map of classes a label lies on its own colour: its dark rim around the white one is what is seen there.
        Mark("labels, rim", "Points", "labels", points, square | {"size": 20, "fill_color": DARK}),
        Mark(
            "labels", "Points", "labels", points, square | {"size": 12, "line_color": HALO, "line_width": 2}
        ),
        Mark("pixels, halo", "Points", "pixels", points, ring | {"color": HALO, "line_width": 6}),
        Mark("pixels", "Points", "pixels", points, ring | {"line_width": 3}),
    ]


def no_lines() -> dict[str, list]:
    """A table of lines or points without one."""
    return {name: [] for name in ("x", "y", "xs", "ys", "colour")}


def empty_map_tables() -> dict[str, dict]:
    """Tables of a map on which nothing is drawn."""
    return {name: NO_IMAGE for name in ("basemap", "layer", "fresh", "marked")} | {
        name: no_lines() for name in ("box", "areas", "footprint", "tower", "labels", "pixels")
    }


def place_tables(places: list[Place], grid: Grid) -> dict[str, dict]:
    """Tables "pixels" and "areas": the chosen places in their colours, metres."""
    pixels = [place for place in places if not place.area]
    points = {
        "x": [float(grid.x[place.col]) for place in pixels],
        "y": [float(grid.y[place.row]) for place in pixels],
        "colour": [PLACE_COLOURS[place.slot] for place in pixels],
    }
    xs, ys, colours = [], [], []
    for place in places:
        # The outer ring alone: holes are left out of the means, and their outlines would crowd a small map.
        for ring in place.outlines:
            x, y = grid.xy(ring[:, 0], ring[:, 1])
            xs.append(np.asarray(x).tolist())
            ys.append(np.asarray(y).tolist())
            colours.append(PLACE_COLOURS[place.slot])
    return {"pixels": points, "areas": {"xs": xs, "ys": ys, "colour": colours}}


def tower_point(xy: tuple[float, float] | None) -> dict[str, list]:
    """Table "tower": its (x, y) in metres, or nothing."""
    return no_lines() if xy is None else {"x": [xy[0]], "y": [xy[1]], "colour": [TOWER_COLOUR]}


def label_points(labels: tuple[Label, ...], grid: Grid) -> dict[str, list]:
    """Table "labels": the labelled pixels in the colours of the map that is fitted to them."""
    return {
        "x": [float(grid.x[label.col]) for label in labels],
        "y": [float(grid.y[label.row]) for label in labels],
        "colour": label_colours(labels),
    }


def map_overlays(tables: dict[str, dict], dimensions: list) -> Any:
    """What lies over the layer, as HoloViews elements to compose.

    Parameters
    ----------
    tables : dict
        Some of the tables of ``empty_map_tables``.
    dimensions : list of holoviews.Dimension
        As ``map_dimensions`` gives them.

    Returns
    -------
    holoviews.Overlay
        The marks that have something to draw.
    """
    import holoviews as hv

    def is_drawn(mark: Mark) -> bool:
        # Images are composed by the caller; an element without rows would still take its place in the legend.
        return mark.kind != "RGB" and mark.table in tables and bool(tables[mark.table]["colour"])

    drawn = [mark for mark in map_marks() if is_drawn(mark)]
    # Without a legend of their own: composed with elements of the user it would name halos and lie over the map.
    return hv.Overlay(
        [make_element(mark, tables, *dimensions, HALO).opts(show_legend=False) for mark in drawn]
    )
