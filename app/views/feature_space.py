"""The tab *Feature space*: all pixels in two axes, datashaded, linked both ways with the map."""

import panel as pn
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.palette import CLASS_COLOURS, MARK_COLOUR, PATH_COLOUR
from fluxlens.app.plots.map import MapPlot
from fluxlens.app.plots.marks import paint_page
from fluxlens.app.state.selection import State
from fluxlens.app.views.html import HTML
from fluxlens.app.views.legend import LEGEND_CSS, legend_key
from fluxlens.app.views.page_behaviour import group_label
from fluxlens.models.errors import InputError

COLOURS = {"Density": "density", "Mean GPP": "gpp", "Class": "class"}
HINT = (
    "With the lasso, draw a line around points to mark their pixels on the map; an area on the map marks its pixels"
    " here."
)
HEIGHT_PX = 520
"""Least height of the plot with its tools and colour bar: whole on the screen of a phone."""
KEYS = legend_key("line", PATH_COLOUR, "chosen pixel, year around the day") + legend_key(
    "dot", MARK_COLOUR, "chosen area"
)


class FeatureSpaceView:
    """Axes and colour above, the plot below; nothing is read before the tab is shown.

    Parameters
    ----------
    state : State
        Day, places and page.
    data : ExplorerData
        The store on screen.
    plot : MapPlot
        The map, whose part on screen is drawn and on which a lasso's pixels are marked.
    """

    def __init__(self, state: State, data: ExplorerData, plot: MapPlot):
        from fluxlens.app.plots.pixel_cloud import axis_names

        self.state, self.data, self.plot = state, data, plot
        self.space = None
        # What the cloud shows, so that an event that changes nothing draws nothing.
        self._drawn: tuple = ()
        axes = axis_names(data)
        self.x = pn.widgets.Select(label="x", options=axes, value=axes[0], width=110)
        self.y = pn.widgets.Select(label="y", options=axes, value=axes[1], width=110)
        colours = {label: name for label, name in COLOURS.items() if name != "gpp" or data.predict}
        self.colour = pn.widgets.RadioButtonGroup(
            options=colours,
            value="density",
            css_classes=["quiet"],
            align="end",
            **group_label("Colour of the points"),
        )
        self.period = pn.widgets.RadioButtonGroup(
            options={"This day": False, "Whole period": True},
            value=False,
            css_classes=["quiet"],
            align="end",
            **group_label("Days of the points"),
        )
        self.head = HTML("", sizing_mode="stretch_width", margin=(6, 0, 0, 0), stylesheets=[LEGEND_CSS])
        self.pane = pn.pane.HoloViews(
            None, linked_axes=False, sizing_mode="stretch_both", min_height=HEIGHT_PX
        )
        for widget in (self.x, self.y, self.colour, self.period):
            widget.param.watch(self.update, "value")
        state.watch(self.update, ["day", "page", "dark"])
        state.watch(self._update_places, ["places", "current"])
        self.update()

    def update(self, *_) -> None:
        """Draw the pixels of the current choices, unless they are drawn already or the tab is not on screen."""
        if self.state.page != "space":
            # Marks belong to the tab and leave the map with it.
            self.plot.draw_marked(None)
            return
        day = "period" if self.period.value else self.state.day
        # All that the cloud depends on; the current pixel alone moves its mark.
        choices = (self.x.value, self.y.value, self.colour.value, day, self.plot.viewport, self.state.dark)
        if choices == self._drawn:
            self._mark(getattr(self.space.selection, "geometry", None))
            return
        from fluxlens.app import plots

        try:
            self.space = plots.feature_space(
                self.data,
                *choices[:4],
                viewport=self.plot.viewport,
                pixel=self.state.pixel,
                dark=self.state.dark,
            )
        except InputError as error:
            self.state.message = str(error)
            return
        self._drawn = choices
        self.head.object = f'<div class="head"><b>{self.space.title}</b>{self._class_keys()}{KEYS}</div>'
        # Drawn anew, the cloud has a new stream of selections.
        self.space.selection.add_subscriber(self._mark)
        self.pane.object = self._on_page(self.space.plot)
        self._update_places()
        self.plot.draw_marked(None)

    def _class_keys(self) -> str:
        """HTML of the colours of the classes with their shares of the points; empty for other colourings."""
        if self.colour.value != "class":
            return ""
        # Of the points in the cloud, which over a period are of many days: the map's legend is of one.
        shares = self.space.points["class"].value_counts(normalize=True, sort=False)
        return "".join(
            legend_key("dot", ink, name, f"{100 * share:.0f} %")
            for ink, (name, share) in zip(CLASS_COLOURS, shares.items(), strict=False)
        )

    def _on_page(self, plot):
        """The plot in the theme of the page, with its tools above, where they take no width from a phone."""
        import holoviews as hv

        theme = "dark" if self.state.dark else "light"

        def paint(drawn, _):
            # HoloViews' plot; its state is the Bokeh figure, whose surface is the page's.
            paint_page(drawn.state, theme)
            drawn.state.toolbar.logo = None

        # Title and legend stand above, in HTML, where the tools do not cover them.
        # As wide as the page: a frame of a fixed width, or a colour bar beside it, would be cut off on a phone.
        page = {
            "frame_width": None,
            "frame_height": None,
            "responsive": True,
            "min_height": HEIGHT_PX,
            "yticks": 8,
        }
        options = [hv.opts.Overlay(toolbar="above", show_legend=False, title="", hooks=[paint], **page)]
        if self.colour.value != "class":
            options.append(hv.opts.Image(colorbar_position="bottom"))
        return plot.opts(*options)

    def _mark(self, geometry=None) -> None:
        """Mark the pixels inside a lasso on the map."""
        inside = None if geometry is None or len(geometry) < 3 else self.space.select(geometry)
        marked = None if inside is None else self.space.mark(inside)
        # HoloViews calls its subscribers without the document's lock; the change waits for the next turn that has it.
        document = self.plot.figure.document
        if document is not None and document.session_context is not None:
            document.add_next_tick_callback(lambda: self._draw_marked(marked))
        else:
            self._draw_marked(marked)

    def _draw_marked(self, marked) -> None:
        """Lay marked pixels over the map, unless the tab has left the screen meanwhile."""
        self.plot.draw_marked(marked if self.state.page == "space" else None)

    def _update_places(self, *_) -> None:
        """Draw the path of the current pixel, or mark the pixels of the current area."""
        place = self.state.place
        if self.space is None or place is None or self.state.page != "space":
            return
        if place.area:
            # The outer ring of the first polygon: a line on the map is one.
            x, y = self.data.grid.xy(*place.outlines[0].T)
            self.space.area.event(geometry=list(zip(x, y, strict=True)))
        else:
            self.space.area.event(geometry=None)
            self.space.pixel.event(pixel=(place.row, place.col))

    @property
    def view(self) -> pn.Column:
        controls = pn.Row(
            self.x,
            self.y,
            self.colour,
            self.period,
            sizing_mode="stretch_width",
            css_classes=["wrap", "gap-8"],
        )
        hint = HTML(f'<span style="color:var(--muted);font-size:12px">{HINT}</span>', margin=(6, 0, 0, 0))
        return pn.Column(
            controls, hint, self.head, self.pane, sizing_mode="stretch_width", css_classes=["grow"]
        )
