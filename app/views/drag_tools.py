"""Buttons that change what a drag on the map does; they act in the browser, without a round trip to the server."""

import panel as pn
from fluxlens.app.plots.map import MapPlot


def drag_while_pressed(toggle: pn.widgets.Toggle, plot: MapPlot, tool: str) -> None:
    """Make a drag on the map use a tool while a button is pressed, and move the map again when it is not.

    A change by the server acts as well: it changes the same property of the button in the browser.

    Parameters
    ----------
    toggle : panel.widgets.Toggle
        The button.
    plot : MapPlot
        The map; ``plot.drag_tools`` has the tools by name.
    tool : str
        "area" or "box".
    """
    # By the server it would take two ways of the line, and a drag begun meanwhile would move the map. The server sets
    # nothing besides: on a slow line its word comes after the next press of the button and would undo that.
    toggle.jscallback(
        args={
            "toolbar": plot.figure.toolbar,
            "tool": plot.drag_tools[tool],
            "pan": plot.drag_tools["pan"],
        },
        # Only the own tool is taken off: another button may have been pressed meanwhile.
        value="""
        if (source.active) toolbar.active_drag = tool;
        else if (toolbar.active_drag === tool) toolbar.active_drag = pan;
        """,
    )
