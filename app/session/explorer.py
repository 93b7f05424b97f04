"""The explorer: one session's screen, wired of state, data and views; also what a notebook shows and reads.

This file is long because it is the one place where state, data and views meet; what they do is in their own files.
"""

import datetime as dt
import re
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import panel as pn
import param
import xarray as xr
from fluxlens.app.background.catalog_loader import LOADER, EntryLoad, gpp_predictor, open_entry
from fluxlens.app.background.embed_jobs import ENTRY_PREFIX, EmbedJob
from fluxlens.app.data.chart_files import series_chart_table, tower_chart_table
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.towers.upload import UploadedTower, check_tower
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.places import add_outline
from fluxlens.app.plots.first_page import draw_first_page
from fluxlens.app.plots.map_marks import map_overlays, place_tables, tower_point
from fluxlens.app.plots.warm_up import compile_area_lines, compile_soon
from fluxlens.app.session import permalink
from fluxlens.app.session.panel_setup import is_served, setup
from fluxlens.app.state.layer_key import LAYERS
from fluxlens.app.state.place import Place
from fluxlens.app.state.selection import State
from fluxlens.app.views import messages
from fluxlens.app.views.browser import Browser
from fluxlens.app.views.compute import ComputeView
from fluxlens.app.views.connection import logout_link
from fluxlens.app.views.drag_tools import drag_while_pressed
from fluxlens.app.views.export import ExportView, csv_text
from fluxlens.app.views.extents import keep_extent
from fluxlens.app.views.feature_space import FeatureSpaceView
from fluxlens.app.views.header import Header
from fluxlens.app.views.map import MapView
from fluxlens.app.views.page_template import was_dark
from fluxlens.app.views.place_toolbar import PlaceToolbar
from fluxlens.app.views.series import SeriesView
from fluxlens.app.views.snapshot_notice import SnapshotNotice
from fluxlens.app.views.split_choice import bind_split
from fluxlens.app.views.style import fluxlens_design
from fluxlens.app.views.tabs import TabsView
from fluxlens.app.views.tower import TowerView
from fluxlens.app.views.tower_calibration import TowerCalibration
from fluxlens.app.views.tower_upload import TowerUpload
from fluxlens.embeddings.export import extract, geometries
from fluxlens.embeddings.gpp import Calibration
from fluxlens.embeddings.store import Store
from fluxlens.embeddings.variables import GPP_COLUMNS
from fluxlens.models.errors import InputError

POLL_MS = 250
"""Between two looks at the progress of opening an entry."""
COMPUTED_ENTRY = re.compile(rf"{ENTRY_PREFIX}[0-9a-f]{{12}}")
"""Names of stores that embed jobs leave in the cache folder; no other name of a link is looked for there."""
_COLUMNS = """
:host { flex: 1 1 auto !important; display: grid !important; gap: 12px; align-items: stretch;
  grid-template-columns: minmax(330px, 46fr) minmax(380px, 54fr); grid-template-rows: 1fr; }
/* two maps need more room than the charts beside them, as far as the height of the window lets them use it */
@media (min-width: 1100px) { :host(.split) { grid-template-columns:
  minmax(330px, clamp(46%, calc(max(100vh - 300px, 260px) * 2 * NX / NY + 40px), 61%)) minmax(380px, 1fr); } }
@media (max-width: 780px) { :host { grid-template-columns: minmax(0, 1fr); grid-template-rows: none; } }
"""
_PAGE = ":host { min-height: 100vh; background: var(--bg); width: 100%; }"
_BODY = """
:host { flex: 1 1 auto !important; padding: 12px 18px 18px; box-sizing: border-box; }
@media (max-width: 520px) { :host { padding: 8px 8px 12px; } }
"""


class _Selection(param.ClassSelector):
    """Read from the store where no change of the pixel has brought it yet."""

    def __get__(self, obj, objtype):
        value = super().__get__(obj, objtype)
        return obj._read_selection() if value is None and obj is not None and obj._is_made else value


class _Day(param.CalendarDate):
    """A day as people hold it: a date, ISO text, a Timestamp or the ``numpy.datetime64`` of a cube's coordinate."""

    def __set__(self, obj, value):
        if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
            # What is no day stays as it is: Param refuses it, with the parameter's name.
            with suppress(ValueError, TypeError):
                value = pd.Timestamp(value).date()
        super().__set__(obj, value)


class Explorer(pn.viewable.Viewer):
    """The dashboard as an object: it displays itself in a notebook; ``.selection`` and ``.series`` are its data.

    Parameters
    ----------
    cat : intake.Catalog, optional
        The catalog whose entries can be chosen.
    entry : str
        Entry to open first; empty for the catalog's first.
    data : ExplorerData, optional
        A store to show directly, without a catalog.

    Attributes
    ----------
    state : State
        The choices of the session.
    data : ExplorerData or None
        The store on screen, with the session's uploaded tower if there is one.
    map_view, series_view, feature_space_view, export, places, compute, tower_upload, tabs
        Views of the store on screen, made anew for each store.
    """

    day = _Day(default=dt.date(2020, 1, 1), doc="Day of the map and of the charts' cursor, UTC.")
    layer = param.Selector(default="pca", objects=list(LAYERS), doc="Layer of the map.")
    pixels = param.List(
        default=[], item_type=tuple, doc="(row, col) of the chosen pixels, in the order they were chosen."
    )

    selection = _Selection(
        class_=xr.Dataset,
        constant=True,
        doc="The current pixel on all days, to watch and to read; ``pixels`` sets it. ``embedding`` (time, feature) "
        "int8 (times ``scale``), ``sigma``, days from acquisitions, GPP in gC m-2 d-1 where there is weather; "
        "``row``, ``col`` of the pixel. Served pages do not watch it.",
    )

    _is_made = False
    """Whether ``__init__`` is done, so that a parameter that is read may open the store."""

    @fluxlens_design()
    def __init__(self, cat=None, entry: str = "", data: ExplorerData | None = None):
        super().__init__()
        # A path is the obvious thing to give; checked like the dashboard's own.
        if isinstance(cat, str | Path):
            from fluxlens.embeddings import catalog

            cat = catalog.open(cat)
        self.cat = cat
        # Before the views, which all read from it.
        self.state = State(entry=entry, dark=was_dark())
        self.data: ExplorerData | None = None
        self.browser = Browser(width=0, height=0, dark=self.state.dark)
        self.header = Header(self.state, self._describe_entries())
        self.header.behaviour.make_table = self.chart_file
        self._waiting = messages.waiting_pane()
        self._welcome = messages.welcome(lambda: setattr(self.browser, "explained", True))
        self.snapshot_notice = SnapshotNotice(self.show_snapshot)
        self._body = pn.Column(self._waiting, sizing_mode="stretch_width", css_classes=["fill"])
        self.map_view: MapView | None = None
        self.series_view: SeriesView | None = None
        self._load: EntryLoad | None = None
        self._link_fields: dict[str, str] = {}
        """Fields of the link that the next store shown must restore."""
        self._poll = None
        self._screen: pn.Column | None = None
        """What ``panel`` returned last."""
        self._is_shown = False
        """Whether ``panel`` was called before."""
        self._results: dict[str, Path] = {}
        """Stores of this session's embed jobs, by name."""
        self._shared_data: ExplorerData | None = None
        """The store as all sessions share it, without an uploaded tower."""
        self._uploaded: UploadedTower | None = None
        self._calibration: Calibration | None = None
        self._wire()
        # Given its data, as in a notebook, it is complete when it returns; else ``start`` opens an entry in the
        # background.
        if data is not None:
            data.load_images()
            self.show_store(data)
        self._is_made = True

    def _wire(self) -> None:
        """Callbacks that live as long as the session; those of one store's views are in the views."""
        # The state is what the views watch; these two keep the parameters that a notebook sees equal to it.
        self.state.param.watch(self._publish_choices, ["day", "layer", "places"])
        self.state.param.watch(self._update_selection, ["places", "current"])
        self.param.watch(self._take_choices, ["day", "layer", "pixels"])
        # ``state.param.watch`` and not ``state.watch``, whose watchers ``show_store`` ends with the views of a store.
        self.state.param.watch(lambda _: self.open(self.state.entry), "entry")
        self.state.param.watch(lambda event: setattr(self.browser, "dark", event.new), "dark")
        # Both ways: the browser remembers the theme of an earlier visit and sends it after the page is made. No loop,
        # since Param calls watchers only where a value changes.
        self.browser.param.watch(lambda event: setattr(self.state, "dark", event.new), "dark")
        self.browser.param.watch(lambda event: setattr(self._welcome, "visible", not event.new), "returning")
        self.browser.param.watch(lambda _: setattr(self.state, "message", ""), "escapes")
        # A message is about what was tried last; who goes on to another layer or page has left that.
        self.state.param.watch(lambda _: setattr(self.state, "message", ""), ["layer", "page"])
        self.state.param.watch(self._write_link, list(permalink.LINKED_PARAMETERS))
        # Last of all watchers, those of the views included.
        shown = [name for name in self.state.param if name != "name"]
        self.state.param.watch(self._push_figures, shown, precedence=100)
        self.browser.param.watch(
            lambda event: self.map_view and self.map_view.step(event.new - event.old), "day_steps"
        )
        self.browser.param.watch(
            lambda event: self.map_view and self.map_view.step_feature(event.new - event.old), "feature_steps"
        )
        self.state.param.watch(
            lambda event: setattr(self.browser, "feature_keys", event.new == "feature"), "layer"
        )

    def _list_entries(self) -> list[str]:
        """Names of the entries that hold embeddings."""
        return list(self._describe_entries())

    def _describe_entries(self) -> dict[str, str]:
        """Descriptions of the entries that hold embeddings, by their names."""
        if self.cat is None:
            return {}
        from fluxlens.embeddings.catalog import entries

        return {entry.name: entry.description for entry in entries(self.cat) if entry.kind == "embeddings"}

    # --- opening ---

    def open(self, entry: str) -> None:
        """Open a catalog entry in the background, at the snapshot that a link names.

        Parameters
        ----------
        entry : str
            Name of the entry.
        """
        # The store on screen is left now and not when the next one has come: its player would move the day of that.
        self.state.unwatch_all()
        self.map_view = self.data = None
        self.state.message = ""
        self.header.show(None)
        # A link to an earlier snapshot shows that one, whatever was written since.
        snapshot = self._link_fields.get("snapshot", "")
        catalog_path = str(getattr(self.cat, "path", ""))
        self._load = LOADER.get(
            catalog_path, entry, lambda: open_entry(self.cat, entry, snapshot, draw_first_page), snapshot
        )
        # The first look is at once: an entry that another session has opened is shown without a round of polling.
        self._body[:] = [self._waiting]
        self._check_load()
        if self._load is not None and self._poll is None:
            # Polled by the page: a thread that changed the page itself would need its lock, and after the session has
            # ended there is no page to change.
            self._poll = pn.state.add_periodic_callback(self._poll_load, period=POLL_MS)

    def start(self, entry: str = "", query: str = "") -> None:
        """Open the first entry of a session.

        Parameters
        ----------
        entry : str
            Name of an entry; empty for that of the link, or else the catalog's first.
        query : str
            Query of a permalink.
        """
        self._link_fields = permalink.parse_query(query)
        entry = entry or self._link_fields.get("entry", "")
        # A link to the result of an embed job: its store is in this machine's cache and in no catalog.
        self._add_cached_result(entry)
        entry = entry or next(iter(self._list_entries()), "")
        if not entry:
            self.fail(
                "Got a catalog without embeddings, need at least one such entry; add one to the catalog."
            )
        elif self.state.entry == entry:
            self.open(entry)
        else:
            self.state.entry = entry

    def fail(self, message: str) -> None:
        """Show ``message``, one sentence on what is wrong; the page lives on."""
        self.state.message = message
        # An entry that has just failed is no choice, unless only the snapshot of a link is gone.
        failed = "" if self._link_fields.get("snapshot") else self.state.entry
        # What this link says of a view is not meant for the entry that is chosen next.
        self._link_fields = {}
        self.header.show(None)
        self._waiting.object = messages.nothing([name for name in self._list_entries() if name != failed])

    def _poll_load(self) -> None:
        # Panel drops what is put into a page while the page is on its way to the browser.
        if pn.state.loaded:
            self._check_load()

    def _check_load(self) -> None:
        """Show how far the load is; show the store when it is done."""
        load = self._load
        if load is None:
            return
        if not load.ended:
            self._waiting.object = messages.waiting(
                f"Preparing {load.entry}", load.message, load.fraction, load.seconds
            )
            return
        # Before the store is shown: what that triggers must not find a load still going on.
        self._load = None
        if self._poll is not None:
            self._poll.stop()
            self._poll = None
        if load.error:
            # By its name in the catalog: what visitors know of an entry is not where its store lies.
            named = repr(load.entry) in load.error
            reason = load.error[:1].lower() + load.error[1:]
            self.fail(
                load.error if named else f"Got the entry {load.entry!r}, which cannot be opened: {reason}"
            )
        else:
            self.show_store(load.data)
            self.state.notes = list(load.notes)

    @fluxlens_design()
    def show_store(self, data: ExplorerData) -> None:
        """Put a store on screen: its first pixel, on the clearest day of its growing season, or what the link says.

        Parameters
        ----------
        data : ExplorerData
            Shared by all sessions.
        """
        self._shared_data, self.data = data, self._with_session_choices(data)
        data, state = self.data, self.state
        self.snapshot_notice.watch(data.store)
        self._reset_state()
        # ``compute`` is looked up when a box is drawn: it is made after the map on which it draws.
        self.map_view = MapView(
            state, data, self.tap, self.outline, lambda xs, ys: self.compute.set_box(xs, ys)
        )
        figure = self.map_view.plot.figure
        self.export = ExportView(state, data, figure)
        self.places = PlaceToolbar(state, data, [self.export.view], self.map_view.plot.show_pixel)
        drag_while_pressed(self.places.draw, self.map_view.plot, "area")
        if is_served():
            # While the area is being drawn, so that its lines do not wait for what counts them.
            self.places.draw.param.watch(lambda _: compile_soon(compile_area_lines), "value")
        self.series_view = SeriesView(state, data, [self.places.view])
        keep_extent(state, "map_extent", x=figure.x_range, y=figure.y_range)
        keep_extent(state, "chart_extent", x=self.series_view.charts.range)
        bind_split(state, self.map_view)
        self.header.show(data)
        self.tabs = TabsView(state, self._tabs())
        self._body[:] = [self._columns()]
        self._write_link()

    def _reset_state(self) -> None:
        """The choices with which the store on screen begins: its defaults, then what the link says."""
        data, state = self.data, self.state
        # First of all: views of the store before would draw its days and pixels with the new choices.
        state.unwatch_all()
        state.param.update(
            day=data.start_day,
            colours={},
            places=[Place(0, *data.start_pixel)],
            labels=[],
            current=0,
            feature=0,
            map_extent=None,
            chart_extent=None,
            second_layer="",
            fixed_day=None,
            message="",
            notes=[],
            layer=state.layer if state.layer in data.layers else data.layers[0],
        )
        # After the defaults of this store, before its views, which so draw once and what the link says.
        permalink.restore(self._link_fields, state, data)
        self._link_fields = {}

    def _columns(self) -> pn.Column:
        """The map beside the tabs, in the proportions of the scene; another arrangement for a split map."""
        ny, nx = self.data.grid.shape
        columns = pn.Column(
            self.map_view.view,
            self.tabs.view,
            sizing_mode="stretch_width",
            stylesheets=[_COLUMNS.replace("NX", str(nx)).replace("NY", str(ny))],
        )
        show_split = self.map_view.split
        columns.css_classes = ["split"] if show_split.value else []
        show_split.param.watch(
            lambda event: setattr(columns, "css_classes", ["split"] if event.new else []), "value"
        )
        return columns

    def _tabs(self) -> dict:
        """Titles of the tabs and functions that make them, by name; not views: a tab never shown costs nothing."""
        data = self.data
        tabs = {"series": ("Series", lambda: self.series_view.view)}
        site = str(data.tower.attrs.get("site", "")) if data.observations.fluxes else ""
        tabs["tower"] = (f"Tower {site}".strip(), self._make_tower_tab)
        tabs["space"] = ("Feature space", self._make_feature_space_tab)
        if data.scene.can_compute:
            self.compute = ComputeView(
                # Without an uploaded tower: the store of a job is shared with other sessions, the tower is not.
                self.state,
                self._shared_data,
                self.map_view.plot,
                self.add_result,
                self.open_result,
                self.await_job,
            )
            tabs["compute"] = ("Compute", lambda: self.compute.view)
        return tabs

    def _make_feature_space_tab(self) -> pn.viewable.Viewable:
        self.feature_space_view = FeatureSpaceView(self.state, self.data, self.map_view.plot)
        return self.feature_space_view.view

    def _make_tower_tab(self) -> pn.viewable.Viewable:
        on_remove = self.remove_tower if self._uploaded is not None else None
        self.tower_upload = TowerUpload(self.state, self.data, self.add_tower, on_remove)
        if not self.data.observations.fluxes:
            return self.tower_upload.view
        self.tower_calibration = TowerCalibration(self.state, self.data, self.set_calibration)
        self.tower_view = TowerView(
            self.state,
            self.data,
            self.map_view.plot.draw_footprint,
            self.tower_calibration,
            [self.tower_upload.view],
        )
        return self.tower_view.view

    def _with_session_choices(self, data: ExplorerData) -> ExplorerData:
        """The store with the session's tower and the session's calibration, where they fit it."""
        data = self._with_uploaded_tower(data)
        if self._calibration is None or data.predict is None:
            return data
        from fluxlens.embeddings import gpp

        try:
            self._calibration.head("daily", gpp.load_for(data.attrs).digest)
        except InputError:  # of a store that an earlier head predicts
            return data
        return data.with_calibration(self._calibration)

    def _with_uploaded_tower(self, data: ExplorerData) -> ExplorerData:
        """The store with the session's tower, as long as that is inside the scene."""
        if self._uploaded is None:
            return data
        try:
            check_tower(data.scene, self._uploaded.tower)
        except InputError:
            self._uploaded = None
            return data
        return data.with_tower(self._uploaded.tower, self._uploaded.wind)

    # --- what the user does ---

    def add_tower(self, uploaded: UploadedTower) -> None:
        """Show the same view with an uploaded tower in it, and its tab."""
        self._replace_tower(uploaded, "tower")

    def remove_tower(self) -> None:
        """Show the same view without the uploaded tower."""
        self._replace_tower(None, "series")

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Show the same view with GPP calibrated.

        Parameters
        ----------
        calibration : Calibration or None
            To towers; None: as the head predicts it.
        """
        self._calibration = calibration
        self.state.param.update(page="tower", message="")
        self._show_again()
        if calibration is not None:
            self.state.notes = [f"GPP of all maps and charts is calibrated with {calibration.name}."]

    def _replace_tower(self, uploaded: UploadedTower | None, page: str) -> None:
        self.state.param.update(page=page, message="", footprint_kind="pixel")
        self._uploaded = uploaded
        self._show_again()

    def _show_again(self) -> None:
        # The view is restored as from a link: every view must be made anew for another tower.
        self._link_fields = permalink.parse_query(permalink.to_query(self.state, self.data))
        self._link_fields.pop("given", None)
        self.show_store(self._shared_data)

    def show_snapshot(self, snapshot: str) -> None:
        """Show the same view of another snapshot of the store on screen.

        Parameters
        ----------
        snapshot : str
            Its id.
        """
        before = self.data.store.snapshot
        self._link_fields = permalink.parse_query(permalink.to_query(self.state, self.data))
        self._link_fields.pop("given", None)
        if self.cat is None:
            store = self.data.store.at_snapshot(snapshot)
            self.show_store(ExplorerData(store, gpp_predictor(store)))
            return
        # Visitors who come from now on open the newest as well, and not what this process opened before.
        LOADER.forget(str(getattr(self.cat, "path", "")), self.state.entry, before)
        self._link_fields["snapshot"] = snapshot
        self.open(self.state.entry)

    def tap(self, x: float, y: float, add: bool = False) -> None:
        """Choose the pixel at a point; sets a message outside the scene.

        Parameters
        ----------
        x, y : float
            Metres of the scene's CRS.
        add : bool
            Add a place instead of moving the current one.
        """
        # Bokeh sends what changes in an event only when its handler returns; unlocked, each chart goes out when it is
        # ready, and the ring moves before the slowest of them.
        with pn.io.unlocked():
            self._tap(x, y, add)

    def _tap(self, x: float, y: float, add: bool) -> None:
        try:
            pixel = self.data.locate(x, y)
        except InputError:
            lon, lat = self.data.grid.lonlat(x, y)
            self.state.message = (
                f"Got a tap at {lat:.5f}, {lon:.5f}, which is outside the scene; tap inside the picture."
            )
            return
        try:
            if self.map_view.labels.captures_taps:
                self.map_view.labels.label_pixel(*pixel)
                return
            self.state.pin(*pixel, add=add or self.places.add_pin.value)
            self.places.add_pin.value = False
            has_tower = bool(self.data.observations.fluxes)
            if self.map_view.plot.on_tower(x, y) and has_tower:
                self.state.page = "tower"
            elif self.state.page == "tower" and has_tower:
                self.state.page = "series"
        except InputError as error:  # such as of a damaged store, whose charts are drawn on the way
            self.state.message = str(error)

    def outline(self, xs: list[float], ys: list[float]) -> None:
        """Choose the area inside a line.

        Parameters
        ----------
        xs, ys : list of float
            Corners, metres of the scene's CRS.
        """
        self.places.draw.value = False
        add_outline(self.state, self.data, xs, ys)

    def add_result(self, job: EmbedJob) -> str:
        """Take the store of a finished job into this session's catalog; returns its name."""
        name = job.path.name
        if self.cat is not None:
            _, ny, nx = job.box.shape
            self._add_entry(name, f"{nx} × {ny} px, {job.box.first} to {job.box.last}")
        self._results[name] = job.path
        return name

    def await_job(self, job: EmbedJob) -> None:
        """Take the store of a job whose view is gone into the catalog once it is done."""

        def check_job() -> None:
            if not job.active:
                polling.stop()
                if job.state == "done":
                    self.add_result(job)

        polling = pn.state.add_periodic_callback(check_job, period=1000)

    def open_result(self, name: str) -> None:
        """Show the store of a finished job, by the name that ``add_result`` gave."""
        self.state.page = "series"
        if self.cat is not None:
            self.state.entry = name
        else:
            store = Store.open(self._results[name])
            data = ExplorerData(store, gpp_predictor(store))
            data.load_images()
            self.show_store(data)

    def _add_entry(self, name: str, description: str) -> None:
        from fluxlens.embeddings import cache, catalog

        catalog.add_store(self.cat, name, cache.folder() / name, description)
        self.header.add(name, description)

    def _add_cached_result(self, name: str) -> None:
        """A link may name a job's store of an earlier session that is still in the cache folder."""
        from fluxlens.embeddings import cache

        if self.cat is not None and COMPUTED_ENTRY.fullmatch(name) and (cache.folder() / name).is_dir():
            self._add_entry(name, f"{name}, computed earlier")

    def chart_file(self, key: str) -> tuple[str, str] | None:
        """Name and text of the CSV file of a chart; None, and a message, where it cannot be made.

        Parameters
        ----------
        key : str
            Page and chart, such as "series/gpp" or "tower/scores".
        """
        page, _, chart = key.partition("/")
        try:
            if page == "tower":
                table = tower_chart_table(self.data, self.tower_view.comparison, chart)
            else:
                table = series_chart_table(self.data, self.state.places, chart)
            made = "_simulated" if self.data.simulated else ""
            return f"fluxlens_{page}_{chart}{made}.csv", csv_text(table)
        except InputError as error:
            self.state.message = str(error)
        except (
            KeyError,
            AttributeError,
        ):  # a chart that this page does not have, asked for by a message of its own
            self.state.message = f"Got the chart {key[:40]!r}, need one that is on screen; choose another."
        return None

    def _write_link(self, *_) -> None:
        """Keep the URL of a served page up to date; a notebook's is not ours."""
        if is_served() and self.data is not None:
            self.browser.link = permalink.to_query(self.state, self.data)

    # --- what a notebook reads ---

    def _update_selection(self, *_) -> None:
        # Pages have no reader of it, and their taps need not wait for it.
        if is_served() or self.data is None or self.state.pixel is None:
            return
        try:
            selection = self._read_selection()
        except InputError:  # of a damaged store, which the views report
            return
        with param.edit_constant(self):
            self.selection = selection

    def _read_selection(self) -> xr.Dataset:
        """The current pixel on all days, as the parameter ``selection`` has it."""
        data = self._require_data()
        cube = data.store.series(*self.state.pixel)
        pixel = data.pixel_series(*self.state.pixel)
        gpp_names = [name for name in GPP_COLUMNS if name in pixel]
        row, col = self.state.pixel
        return cube.assign_coords(row=row, col=col).assign(
            {name: ("time", pixel[name].values, pixel[name].attrs) for name in gpp_names}
        )

    @property
    def series(self) -> pd.DataFrame:
        """The current pixel as the tidy table an export writes: one row per day."""
        data = self._require_data()
        lon, lat = data.grid.lonlat(*data.centre(*self.state.pixel))
        return extract.tidy(data.store, points=[geometries.Point(float(lon), float(lat))])

    def _publish_choices(self, *_) -> None:
        pixels = [(place.row, place.col) for place in self.state.places if not place.area]
        # Not ``param.update``: it asks for all parameters first, and ``selection`` would be read from the store.
        with param.parameterized.batch_call_watchers(self):
            self.day, self.layer, self.pixels = self.state.day, self.state.layer, pixels

    def _take_choices(self, *events) -> None:
        """Take parameters that a notebook sets; what this store does not have is refused, and nothing changes."""
        state = self.state
        pixels = [(place.row, place.col) for place in state.places if not place.area]
        if (self.day, self.layer, self.pixels) == (state.day, state.layer, pixels):
            return  # they come from the state
        choices = {event.name: event.new for event in events}
        try:
            data = self._require_data()
            if not data.first <= choices.get("day", data.first) <= data.last:
                raise InputError(
                    f"Got the day {choices['day']}, need one from {data.first} to {data.last}; choose another."
                )
            if choices.get("layer", data.layers[0]) not in data.layers:
                raise InputError(
                    f"Got the layer {choices['layer']!r}, need one of {', '.join(data.layers)}; choose another."
                )
            if "pixels" in choices:
                choices |= self._places_of(choices.pop("pixels"))
            state.param.update(**choices)
        finally:
            self._publish_choices()

    def _places_of(self, pixels: list[tuple[int, int]]) -> dict:
        """``places`` and ``current`` of the state for these pixels, which replace the pixels but not the areas."""
        areas = [place for place in self.state.places if place.area]
        taken = {place.slot for place in areas}
        # A slot is a colour: areas keep theirs, pins take those that are free.
        slots = [slot for slot in range(len(PLACE_COLOURS)) if slot not in taken]
        ny, nx = self.data.grid.shape
        if not 0 < len(pixels) <= len(slots):
            raise InputError(f"Got {len(pixels)} pixels, need 1 to {len(slots)}; choose fewer.")
        for pixel in pixels:
            if len(pixel) != 2 or not (0 <= pixel[0] < ny and 0 <= pixel[1] < nx):
                raise InputError(
                    f"Got the pixel {pixel}, need (row, col) with rows 0 to {ny - 1} and columns 0 to {nx - 1}; "
                    "correct it."
                )
        # Not strict: there may be more free colours than pixels.
        pins = [Place(slot, int(row), int(col)) for slot, (row, col) in zip(slots, pixels, strict=False)]
        return {"places": [*areas, *pins], "current": pins[-1].slot}

    def _is_untouched(self) -> bool:
        """Whether nothing was opened yet, as in a notebook."""
        return self.cat is not None and self._load is None and self.data is None and not self.state.message

    def _wait_for_data(self) -> None:
        """Open the catalog's first entry where none was opened, and block until it is there."""
        if self._is_untouched():
            self.start(self.state.entry)
        # A kernel runs one cell at a time: no callback could show the store while this cell waits, so it looks itself.
        while self._load is not None:
            time.sleep(POLL_MS / 1000)
            self._check_load()

    def _require_data(self) -> ExplorerData:
        self._wait_for_data()
        if self.data is None:
            raise InputError(self.state.message or "Got no store, need one; choose an entry.")
        return self.data

    @fluxlens_design()
    def _remake_views(self) -> None:
        """New views of the same choices, for another display in the notebook; the display before no longer changes.

        A Bokeh model belongs to one document, and every display is one: to put the same figures into a second fails
        with "Models must be owned by only a single document". The column of the body is new for the same reason.
        """
        # What the views themselves say of the display before begins anew with them.
        anew = {"name", "map_extent", "chart_extent", "second_layer", "fixed_day"}
        choices = {name: value for name, value in self.state.param.values().items() if name not in anew}
        self._body = pn.Column(self._waiting, sizing_mode="stretch_width", css_classes=["fill"])
        self.show_store(self._shared_data)
        self.state.param.update(**choices)

    def __panel__(self) -> pn.Column:
        """What ``pn.panel``, a layout, or the last expression of a notebook's cell shows."""
        return self.panel()

    def widget(self):
        """The whole screen as an ipywidget, to stand in ``ipywidgets.HBox`` and the like.

        Returns
        -------
        jupyter_bokeh.BokehModel

        Raises
        ------
        InputError
            jupyter_bokeh is not installed.
        """
        try:
            # Panel's own view and not ``self``: the widget calls methods that a ``Viewer`` does not have.
            return pn.ipywidget(self.panel())
        except ImportError as error:
            raise InputError(
                "Got no package jupyter_bokeh, need it for ipywidgets; pip install jupyter_bokeh."
            ) from error

    @fluxlens_design()
    def panel(self) -> pn.Column:
        """The whole screen as one Panel object."""
        if not is_served():
            setup()
        if self._is_shown and self.data is not None:
            self._remake_views()
        self._is_shown = True
        if self._is_untouched():
            self._wait_for_data()  # changes sent before a notebook has drawn the screen would be lost
        body = pn.Column(
            messages.message(self.state),
            messages.data_notes(self.state),
            self.snapshot_notice.view,
            self._welcome,
            self._body,
            sizing_mode="stretch_width",
            css_classes=["role-main"],
            stylesheets=[_BODY],
        )
        if (logout := logout_link()) is not None:
            self.header.view.append(logout)
        self._screen = pn.Column(
            self.header.view, body, self.browser, sizing_mode="stretch_width", stylesheets=[_PAGE]
        )
        return self._screen

    def _push_figures(self, *_) -> None:
        """Send what has changed in figures to a notebook.

        A page's server sends each change of a Bokeh model. In a notebook it waits for the next change of a Panel
        object, and is lost where a message of the browser comes before.
        """
        if self._screen is not None and not is_served():
            pn.io.push_notebook(self._screen)

    # --- figures to compose in a notebook ---

    @property
    def map(self):
        """The layer on screen as a HoloViews object, with places and tower over it; it follows the day."""
        from fluxlens.app import plots
        from fluxlens.app.plots.elements import map_dimensions

        key, data = self.state.layer_key, self._require_data()
        choices = {n: getattr(key, n) for n in ("feature", "pixel", "area", "threshold", "labels")}
        # the layers that are made without a number of clusters have 0 there
        clusters = key.clusters or 5
        day = self.state.param.day
        layer = plots.embedding_map(data, key.layer, day, clusters=clusters, **choices)
        tables = place_tables(self.state.places, data.grid) | {"tower": tower_point(data.observations.xy)}
        return layer * map_overlays(tables, map_dimensions(data.grid.crs))

    @property
    def charts(self):
        """The charts of the current place as a HoloViews layout, the other places as one line each."""
        from fluxlens.app import plots

        state, data = self.state, self._require_data()
        tower = data.tower if state.show_tower else None
        other_places = [
            (PLACE_COLOURS[o.slot], data.place_series(o)) for o in state.places if o is not state.place
        ]
        colour = PLACE_COLOURS[state.place.slot]
        series = data.place_series(state.place)
        return plots.series_charts(
            series, data.weather, tower, data.simulated, colour, other_places=other_places
        )

    # Names of an earlier version.
    embedding_map, series_charts = map, charts

    @property
    def feature_space(self):
        """All pixels of the scene on the day on screen in feature space, with the path of the current pixel."""
        from fluxlens.app import plots

        # The plot alone, to compose: `plots.feature_space` has its streams, too.
        return plots.feature_space(self._require_data(), day=self.state.day, pixel=self.state.pixel).plot
