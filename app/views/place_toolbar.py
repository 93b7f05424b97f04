"""The chosen places: a coloured button each, one more, one less, an area drawn or from a file."""

from collections.abc import Callable

import panel as pn
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.uploaded_file import PLACES_BYTES, PLACES_ENDINGS
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.places import add_uploaded_places, go_to
from fluxlens.app.state.place import MAX_NAME_LENGTH
from fluxlens.app.state.selection import State
from fluxlens.app.views.file_upload import FileUpload
from fluxlens.app.views.html import HTML
from fluxlens.app.views.page_behaviour import group_label

# Buttons of a group cannot be styled one by one but by their position. The colours are variables, which can be set
# anew: a new sheet would bring the addresses of Panel's own sheets with it, which a notebook would ask of a CDN.
_DOTS = "".join(
    f".bk-btn:nth-child({n})::before {{ content: ''; display: inline-block; width: 9px; height: 9px; "
    f"border-radius: 5px; margin-right: 6px; background: var(--dot-{n}); }}"
    for n in range(1, len(PLACE_COLOURS) + 1)
)


class PlaceToolbar:
    """Buttons of the places above the charts.

    Parameters
    ----------
    state : State
        The places.
    data : ExplorerData
        The store on screen.
    extra : list of panel.viewable.Viewable
        More widgets at the end of the row.
    on_go : callable, optional
        ``on_go(row, col)``: typed coordinates chose a pixel, which may be outside the map's view.
    """

    def __init__(
        self,
        state: State,
        data: ExplorerData,
        extra: list[pn.viewable.Viewable] = (),
        on_go: Callable[[int, int], None] = lambda row, col: None,
    ):
        self.state, self.data, self.extra, self.on_go = state, data, extra, on_go
        self.chips = pn.widgets.RadioButtonGroup(
            css_classes=["quiet", "places"], stylesheets=[_DOTS], **group_label("Places")
        )
        self.add_pin = pn.widgets.Toggle(label="+ Pin", css_classes=["quiet"])
        self.draw = pn.widgets.Toggle(label="Draw area", css_classes=["quiet"])
        # A tap picks a pixel while the button is pressed, as ever: what makes an area is a drag.
        self.draw_hint = HTML(
            "<span style='color: var(--muted)'>Drag around the area on the map.</span>",
            visible=self.draw.value,
            margin=0,
        )
        self.draw.param.watch(lambda event: setattr(self.draw_hint, "visible", event.new), "value")
        self.remove = pn.widgets.Button(label="Remove")
        self.file = FileUpload(
            state,
            lambda name, content: add_uploaded_places(state, data, name, content),
            PLACES_BYTES,
            "simplify the outlines",
            text="Places from file",
            accept=",".join(PLACES_ENDINGS),
        )
        self.name = pn.widgets.TextInput(
            label="Name of the place", css_classes=["no-label"], width=112, max_length=MAX_NAME_LENGTH
        )
        self.name.param.watch(self._rename, "value")
        # A tap finds no pixel by its coordinates; those of the place stand above the charts.
        self.coordinates = pn.widgets.TextInput(
            label="Go to latitude, longitude (WGS 84)",
            placeholder="Go to lat, lon",
            css_classes=["no-label"],
            width=118,
            max_length=80,
        )
        self.coordinates.param.watch(self._go_to, "value")
        self.remove.on_click(lambda _: state.remove())
        self.chips.param.watch(lambda event: setattr(state, "current", event.new), "value")
        state.watch(self._update, ["places", "current"])
        self._update()

    def _update(self, *_) -> None:
        places = self.state.places
        colours = {f"--dot-{n}": PLACE_COLOURS[place.slot] for n, place in enumerate(places, 1)}
        options = {place.label: place.slot for place in places}
        # Together: with new options and the old value Panel would choose the first option, and that would move the
        # current place.
        with pn.io.hold():
            self.chips.param.update(options=options, value=self.state.current, styles=colours)
        self.remove.disabled = len(places) < 2
        self.name.value = self.state.place.label if self.state.place else ""
        self.coordinates.value = ""

    def _go_to(self, event) -> None:
        if not event.new.strip():
            return

        def choose() -> None:
            # What cannot be read stays in the field, to be corrected.
            if go_to(self.state, self.data, event.new, self.add_pin.value):
                self.add_pin.value = False
                self.coordinates.value = ""
                self.on_go(*self.state.pixel)

        self._on_next_turn(choose)

    def _rename(self, event) -> None:
        def rename() -> None:
            self.state.rename(event.new)
            # A name that is refused, or blanks, give way to the one that the place has.
            self.name.value = self.state.place.label

        self._on_next_turn(rename)

    @staticmethod
    def _on_next_turn(change: Callable[[], None]) -> None:
        """Call ``change()`` on the next turn of the server's loop; at once where there is none.

        Panel holds what changes while it takes a typed text, and loses new labels of the buttons, which are held a
        second time (Panel 1.9).
        """
        page = pn.state.curdoc
        if page is not None and page.session_context is not None:
            page.add_next_tick_callback(change)
        else:
            change()

    @property
    def view(self) -> pn.Row:
        return pn.Row(
            self.chips,
            self.name,
            self.coordinates,
            self.add_pin,
            self.draw,
            self.draw_hint,
            self.remove,
            self.file,
            *self.extra,
            sizing_mode="stretch_width",
            margin=(0, 0, 6, 0),
            css_classes=["wrap", "gap-6", "middle"],
        )
