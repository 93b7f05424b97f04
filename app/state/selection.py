"""The choices of one session: which entry, day, layer, feature and pixels; one object per session."""

import datetime as dt
from dataclasses import replace
from itertools import count

import param
import shapely
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.state.labels import Label, toggle_label
from fluxlens.app.state.layer_key import LAYERS, PERIOD_LAYERS, LayerKey
from fluxlens.app.state.place import MAX_NAME_LENGTH, Place
from fluxlens.models.errors import InputError

CLUSTER_COUNTS = range(2, 9)
IMAGE_PARAMETERS = (
    "layer",
    "day",
    "feature",
    "places",
    "current",
    "whole_period",
    "threshold",
    "clusters",
    "labels",
)
"""Parameters of ``State`` that a layer image can depend on."""


class State(param.Parameterized):
    """What the user has chosen; views watch it, nothing else stores a choice."""

    entry = param.String(default="", doc="Catalog entry on screen.")
    day = param.CalendarDate(
        default=dt.date(2020, 1, 1), doc="Day of the map and of the charts' cursor, UTC."
    )
    layer = param.Selector(default="pca", objects=list(LAYERS), doc="Layer of the map.")
    feature = param.Integer(default=0, bounds=(0, None), doc="Embedding feature of the layer 'feature'.")
    places = param.List(default=[], item_type=Place, doc="Pins and areas, in the order they were chosen.")
    current = param.Integer(default=0, doc="Slot of the current place, which taps move and the charts show.")
    whole_period = param.Boolean(
        default=False, doc="Similar, Clusters, Labels: of the whole period instead of the day."
    )
    threshold = param.Number(
        default=0.8, bounds=(-1, 1), doc="Cosine similarity below which pixels are drawn pale."
    )
    clusters = param.Integer(
        default=5, bounds=(CLUSTER_COUNTS[0], CLUSTER_COUNTS[-1]), doc="Number of clusters."
    )
    labels = param.List(default=[], item_type=Label, doc="Labelled pixels, for the layer 'labels'.")
    colours = param.Dict(
        default={},
        doc="Chosen (low, high, palette) by the label of a layer's style; a layer that is not here has its own.",
    )
    charts = param.List(default=["ndvi", "pc", "radar", "gpp"], item_type=str, doc="Charts shown.")
    show_tower = param.Boolean(default=True, doc="Whether tower GPP is drawn with the prediction.")
    page = param.Selector(
        default="series", objects=["series", "tower", "space", "compute"], doc="Tab next to the map."
    )
    flux = param.Selector(
        default="gpp_nt", objects=["gpp_nt", "gpp_dt"], doc="The tower page's partitioning of GPP."
    )
    min_qc = param.Number(
        default=0.75,
        bounds=(0, 1),
        doc="The tower page's lowest quality of a day, share of measured half-hours.",
    )
    footprint_kind = param.Selector(
        default="pixel",
        objects=["pixel", "radius", "footprint"],
        doc="Pixels over which the prediction for the tower is averaged.",
    )
    radius_m = param.Number(default=250, bounds=(50, 500), doc="Radius of the footprint kind 'radius', m.")
    height_m = param.Number(
        default=None,
        bounds=(0.1, 200),
        allow_None=True,
        doc="Height of the sensors above the displacement height, m, for the footprint kind 'footprint'.",
    )
    map_extent = param.Tuple(
        default=None,
        length=4,
        allow_None=True,
        doc="West, east, south, north of the map, m; None for the whole scene.",
    )
    chart_extent = param.Tuple(
        default=None,
        length=2,
        allow_None=True,
        doc="Begin and end of the charts' time axis, milliseconds since 1970; None for the whole period.",
    )
    second_layer = param.String(default="", doc="Layer of the second map; empty where there is one map.")
    fixed_day = param.CalendarDate(default=None, allow_None=True, doc="Day that the second map keeps.")
    dark = param.Boolean(default=False, doc="Dark theme.")
    message = param.String(default="", doc="One sentence for the user; empty when all is well.")
    notes = param.List(
        default=[],
        item_type=str,
        doc="What readers left out or converted of the files on screen, until closed.",
    )

    def watch(self, callback, names: list[str] | str) -> None:
        """Call ``callback(event)`` on changes until ``unwatch_all``, for the views of one store.

        Parameters
        ----------
        callback : callable
            Takes a ``param.parameterized.Event``.
        names : str or list of str
            Parameters to watch.
        """
        # Kept on the instance and not in __init__, which Param calls with all parameters of the class.
        self._watchers = [*getattr(self, "_watchers", []), self.param.watch(callback, names)]

    def on_unwatch(self, end) -> None:
        """Call ``end()`` at the next ``unwatch_all``: for timers and threads, which would outlive the views of a store.

        Parameters
        ----------
        end : callable
            Takes nothing; is called once, also where what it ends has ended by itself.
        """
        self._ends = [*getattr(self, "_ends", []), end]

    def unwatch_all(self) -> None:
        """End what ``watch`` began. The state outlives the views of a store, which would else be called for ever."""
        for watcher in getattr(self, "_watchers", []):
            self.param.unwatch(watcher)
        # Emptied first: what is ended may begin something else.
        ends, self._ends, self._watchers = getattr(self, "_ends", []), [], []
        for end in ends:
            end()

    @property
    def place(self) -> Place | None:
        """The current place, or None before the first tap."""
        return next((place for place in self.places if place.slot == self.current), None)

    @property
    def pixel(self) -> tuple[int, int] | None:
        """(row, col) of the current pixel; of an area the one in its middle."""
        return (self.place.row, self.place.col) if self.place else None

    @property
    def layer_key(self) -> LayerKey:
        """Key of the image on the map; equal keys have equal images."""
        return self.key_of(self.layer, self.day)

    def key_of(self, layer: str, day: dt.date) -> LayerKey:
        """Key of another layer or day, with all other choices as they are.

        Parameters
        ----------
        layer : str
            A key of ``LAYERS``.
        day : date
            Day of the image, UTC; ignored where the layer is made of the whole period.
        """
        # Only what the layer depends on goes into the key: equal keys must mean equal images, and a day that plays no
        # part would miss the cache.
        of = None if self.whole_period and layer in PERIOD_LAYERS else day
        # Each layer lists what it depends on, and nothing else.
        if layer == "feature":
            return LayerKey(layer, of, feature=self.feature)
        if layer == "similar":
            area = self.place.area if self.place else None
            return LayerKey(layer, of, pixel=self.pixel, area=area, threshold=self.threshold)
        if layer == "clusters":
            return LayerKey(layer, of, clusters=self.clusters)
        if layer == "labels":
            return LayerKey(layer, of, labels=tuple(self.labels))
        return LayerKey(layer, of)

    @property
    def footprint_args(self) -> tuple:
        """Footprint kind and, where it has one, its size in metres: arguments of ``ExplorerData.tower_footprint``."""
        sizes = {"radius": (self.radius_m,), "footprint": (self.height_m,)}
        return self.footprint_kind, *sizes.get(self.footprint_kind, ())

    def label(self, row: int, col: int, name: str) -> None:
        """Toggle the label ``name`` of the pixel (row, col); sets ``message`` where that is not possible."""
        try:
            self.param.update(labels=list(toggle_label(tuple(self.labels), row, col, name)), message="")
        except InputError as error:
            self.message = str(error)

    def rename(self, name: str) -> None:
        """Give the current place another ``name``; without letters, the one it would have had by itself."""
        # Blanks of a pasted name would make two places of different names look alike.
        name = " ".join(name.split())
        if self.place is None or name == self.place.label:
            return
        taken = {place.label for place in self.places if place.slot != self.current}
        if name in taken:
            self.message = f"Got the name {name!r}, which another place has; need one of its own."
            return
        if len(name) > MAX_NAME_LENGTH:
            self.message = f"Got a name of {len(name)} letters, need at most {MAX_NAME_LENGTH}; shorten it."
            return
        new = replace(self.place, name=name or self.free_name(self.place.kind, taken))
        self.param.update(places=[new if place is self.place else place for place in self.places], message="")

    def free_name(self, name: str, taken: set[str] | None = None) -> str:
        """A name that no place has: ``name`` itself where it is given by a file, "Pixel 1" or "Area 1" by number.

        Parameters
        ----------
        name : str
            "Pixel", "Area", or a name.
        taken : set of str, optional
            Names in use; None: those of all places.
        """
        taken = {place.label for place in self.places} if taken is None else taken
        if name not in taken and name not in ("Pixel", "Area"):
            return name
        # Names of files may come twice; numbers begin with 1 for kinds and with 2 for names.
        start = 1 if name in ("Pixel", "Area") else 2
        return next(f"{name} {n}" for n in count(start) if f"{name} {n}" not in taken)

    def pin(
        self,
        row: int,
        col: int,
        area: shapely.MultiPolygon | None = None,
        add: bool = False,
        name: str = "",
        slot: int | None = None,
    ) -> None:
        """Move the current pin to (row, col); with ``add``, or to or from an area, make another place.

        Parameters
        ----------
        row, col : int
            The pixel, or the pixel in the middle of the area.
        area : shapely.MultiPolygon, optional
            The area in lon, lat (degrees, WGS 84); None for a pixel.
        add : bool
            Keep the current place and add one.
        name : str
            Of a new place; empty: "Pixel 1", "Area 1" and so on.
        slot : int, optional
            Of a new place, where it is free: a link keeps colours.
        """
        current = self.place
        if current is None or current.area or area or add:
            # The lowest free slot: colours come back in the same order when places are removed.
            free = [
                slot
                for slot in range(len(PLACE_COLOURS))
                if slot not in {place.slot for place in self.places}
            ]
            if not free:
                self.message = (
                    f"Got {len(PLACE_COLOURS)} places already, need a free colour; remove a place first."
                )
                return
            name = self.free_name(" ".join(name.split())[:MAX_NAME_LENGTH] or ("Area" if area else "Pixel"))
            new = Place(slot if slot in free else free[0], row, col, area, name)
            self.param.update(places=[*self.places, new], current=new.slot, message="")
        else:
            new = replace(current, row=row, col=col)  # with its name: it is the place that moves
            # A new list and not a change in place: Param compares the old with the new value to call watchers.
            places = [new if place is current else place for place in self.places]
            self.param.update(places=places, message="")

    def remove(self) -> None:
        """Remove the current place; the last one stays."""
        # One place always stays: charts and exports need a current one.
        if len(self.places) > 1:
            remaining = [place for place in self.places if place.slot != self.current]
            self.param.update(places=remaining, current=remaining[-1].slot, message="")

    def step(self, days: int, first: dt.date, last: dt.date) -> None:
        """Move the day by ``days`` (negative: back), clipped to ``first`` .. ``last``."""
        # Kept inside the period, so that stepping stops at its ends.
        self.day = min(max(self.day + dt.timedelta(days=days), first), last)
