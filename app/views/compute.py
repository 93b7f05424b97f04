"""The tab for embedding on demand: a box, its cost, the job, the queue, the result."""

import datetime as dt
from html import escape

import numpy as np
import pandas as pd
import panel as pn
import xarray as xr
from fluxlens.app.background.embed_jobs import QUEUE, EmbedBox, EmbedJob, available_models
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.layer_image import LayerImage, LayerStyle
from fluxlens.app.data.scene import SceneData
from fluxlens.app.plots.chosen_colours import with_chosen_colours
from fluxlens.app.plots.map import MapPlot
from fluxlens.app.state.selection import State
from fluxlens.app.views.drag_tools import drag_while_pressed
from fluxlens.app.views.html import HTML
from fluxlens.app.views.style import read_css
from fluxlens.models.errors import InputError

POLL_MS = 200
DEFAULT_DAYS = 31
_TEXT = """
p { line-height: 1.55; margin: 4px 0 10px; color: var(--muted); max-width: 620px; } p b { color: var(--ink); }
.cost { font-variant-numeric: tabular-nums; line-height: 1.6; } .cost b { font-weight: 600; }
.track { height: 6px; border-radius: 3px; background: var(--line); overflow: hidden; max-width: 620px; }
.bar { height: 100%; border-radius: 3px; background: var(--accent); transition: width .2s; }
.step { display: flex; justify-content: space-between; max-width: 620px; margin-top: 8px;
  font-variant-numeric: tabular-nums; }
.wrong { color: var(--warn); }
"""
HELP = (
    "<p><b>Compute a box of this scene now.</b> Press <i>Draw box</i> and drag on the map, choose days and model, "
    "and run. Blocks appear on the map as they are finished. The result is an entry of its own, in the list on top, "
    "and stays in the cache: whoever asks for the same pixels and days again waits for nothing.</p>"
)


def format_cost(scene: SceneData, box: EmbedBox) -> str:
    """HTML of the pixels, seconds and bytes of a box, and of the error where it is too large.

    Parameters
    ----------
    scene : SceneData
        The scene that is embedded.
    box : EmbedBox
        The box.
    """
    estimate = QUEUE.estimate(scene, box)
    _, ny, nx = box.shape
    size = scene.grid.size_m
    line = (
        f"<b>{nx} × {ny} px</b> ({nx * size:g} × {ny * size:g} m) × <b>{estimate.days} days</b> = "
        f"{estimate.pixels * estimate.days:,} embeddings · about <b>{_duration(estimate.seconds)}</b> · "
        f"at most <b>{estimate.nbytes / 1e6:,.1f} MB</b>"
    )
    try:
        estimate.check()
    except InputError as error:
        line += f'<br><span class="wrong">{escape(str(error))}</span>'
    return f'<div class="cost">{line}</div>'


def format_progress(job: EmbedJob) -> str:
    """HTML of a job's place in the queue, its finished blocks, or its end.

    Parameters
    ----------
    job : EmbedJob
        In any state.
    """
    ahead = QUEUE.position(job)
    share = job.done / job.total if job.total else 0.0
    if job.state == "waiting":
        text = f"Waiting, {ahead} before you" if ahead else "Starting"
    elif job.state == "running":
        blocks = f", block {job.done} of {job.total}" if job.total else ""
        text = f"{job.stage.capitalize()}{blocks}"
    else:
        # A failed job shows its error in place of an ending.
        endings = {
            "done": f"Done in {_duration(job.seconds)}",
            "cancelled": "Cancelled; nothing is left of it",
        }
        text, share = endings.get(job.state, job.error), float(job.state == "done")
    left = ""
    if job.state == "running" and 0 < share < 1:
        # By the time that blocks took so far; reading and writing are short beside it.
        left = f"{_duration(job.computing_s / share * (1 - share))} left"
    wrong = ' class="wrong"' if job.state == "failed" else ""
    return (
        f'<div class="track" role="progressbar" aria-valuenow="{share:.0%}"><div class="bar" '
        f'style="width:{share:.0%}"></div></div><div class="step"><span{wrong}>{escape(text)}</span>'
        f"<span>{left}</span></div>"
    )


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 10
        else f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
    )


class ComputeView:
    """A box of the scene on screen, and the job that embeds it.

    Parameters
    ----------
    state : State
        The choices.
    data : ExplorerData
        The store on screen.
    plot : MapPlot
        The map, on which the box is drawn and filled.
    on_done : callable
        Called with a finished EmbedJob; takes its store into the session's catalog and returns its name.
    on_open : callable
        Called with that name to show the store.
    on_leave : callable, optional
        Called with the EmbedJob that still runs when another store is shown.
    """

    def __init__(self, state: State, data: ExplorerData, plot: MapPlot, on_done, on_open, on_leave=None):
        self.state, self.data, self.plot = state, data, plot
        self.on_done, self.on_open, self.on_leave = on_done, on_open, on_leave
        self.job: EmbedJob | None = None
        self.entry = ""
        self._poll = None
        self._drawn: tuple = ()
        ny, nx = data.grid.shape
        row, col = data.start_pixel
        # A box of 32 pixels around the first pin: small enough to be done in seconds.
        self.rows, self.cols = (slice(max(0, at - 16), min(n, at + 16)) for at, n in ((row, ny), (col, nx)))
        # A month around the day on screen, moved back where the period ends sooner.
        begin = min(
            max(state.day, data.first), max(data.first, data.last - dt.timedelta(days=DEFAULT_DAYS - 1))
        )
        end = min(begin + dt.timedelta(days=DEFAULT_DAYS - 1), data.last)
        self.draw = pn.widgets.Toggle(label="Draw box", align="end", css_classes=["quiet"])
        # The picker offers only days the store covers.
        limits = {
            "start": data.first,
            "end": data.last,
            "width": 130,
            "stylesheets": [read_css("date_field.css")],
        }
        self.first = pn.widgets.DatePicker(label="First day", value=begin, **limits)
        self.last = pn.widgets.DatePicker(label="Last day", value=end, **limits)
        self.model = pn.widgets.Select(
            label="Model",
            options={label: name for name, label in available_models(data.scene).items()},
            width=200,
        )
        self.start = pn.widgets.Button(label="Run", css_classes=["primary"])
        self.stop = pn.widgets.Button(label="Cancel", visible=False)
        self.open = pn.widgets.Button(label="Open the result", visible=False, css_classes=["primary"])
        self.cost, self.progress = (
            HTML("", sizing_mode="stretch_width", margin=(8, 0, 8, 0), stylesheets=[_TEXT]) for _ in range(2)
        )
        drag_while_pressed(self.draw, plot, "box")
        self.draw.param.watch(self._toggle_drawing, "value")
        for widget in (self.first, self.last, self.model):
            widget.param.watch(self._update_cost, "value")
        self.start.on_click(lambda _: self.start_job())
        self.stop.on_click(lambda _: self.cancel_job())
        self.open.on_click(lambda _: self.on_open(self.entry))
        state.watch(self._update_page, "page")
        state.watch(lambda *_: self._draw_blocks(), ["day", "layer", "feature", "colours"])
        state.on_unwatch(self._leave)
        self._update_cost()
        self._update_page()

    @property
    def box(self) -> EmbedBox:
        return EmbedBox(self.rows, self.cols, self.first.value, self.last.value, self.model.value)

    def set_box(self, xs: tuple[float, float], ys: tuple[float, float]) -> None:
        """Take the box drawn on the map: ``xs`` and ``ys`` of its corners, metres."""
        self.draw.value = False
        # Snapped to whole pixels here, so that cost and frame show what will be computed.
        drawn = EmbedBox.from_corners(self.data.grid, xs, ys, first=self.first.value, last=self.last.value)
        self.rows, self.cols = drawn.rows, drawn.cols
        self._update_cost()
        self._update_page()

    def _toggle_drawing(self, event) -> None:
        self.draw.label = "Drag on the map" if event.new else "Draw box"

    def _update_cost(self, *_) -> None:
        if self.first.value is None or self.last.value is None or self.last.value < self.first.value:
            self.cost.object = '<div class="cost wrong">Choose a last day on or after the first day.</div>'
            self.start.disabled = True
            return
        self.start.disabled = False
        self.cost.object = format_cost(self.data.scene, self.box)

    def _update_page(self, *_) -> None:
        """The box is outlined while this tab is shown."""
        shown = self.state.page == "compute"
        self.plot.frame(self.data.grid.window(self.rows, self.cols) if shown else None)
        if not shown:
            # The drawing tool takes all drags on the map: it must not stay on when another tab is shown.
            self.draw.value = False
            self.plot.fill(None)
        self._drawn = ()
        self._draw_blocks()

    # --- the job ---

    def start_job(self) -> None:
        """Queue the box."""
        try:
            self.job = QUEUE.add(self.data.scene, self.box)
        except InputError as error:
            self.state.message = str(error)
            return
        self.state.message = ""
        if not self.job.box.first <= self.state.day <= self.job.box.last:
            self.state.day = self.job.box.first  # a day whose blocks can be drawn as they come
        # A visitor who leaves frees the queue for the next one; outside a served page there is no session to end.
        if pn.state.curdoc is not None and pn.state.curdoc.session_context is not None:
            pn.state.on_session_destroyed(lambda _, job=self.job: QUEUE.cancel(job) if job.active else None)
        self.start.visible = self.open.visible = False
        self.stop.visible = True
        self.update_progress()
        # One poll per view: a second job must not add a second clock.
        if self._poll is None:
            self._poll = pn.state.add_periodic_callback(self.update_progress, period=POLL_MS)

    def cancel_job(self) -> None:
        """End the job at once."""
        if self.job is not None and self.job.active:
            QUEUE.cancel(self.job)
        self.update_progress()

    def update_progress(self) -> None:
        """Show how far the job is, and its end."""
        job = self.job
        if job is None:
            return
        # Read before the progress is shown: a job that ends meanwhile is shown to its end at the next call.
        ended = not job.active
        self.progress.object = format_progress(job)
        self._draw_blocks()
        if not ended:
            return
        self._stop_polling()
        self.stop.visible, self.start.visible = False, True
        self._update_cost()
        if job.state == "done":
            self.entry = self.on_done(job)
            self.open.visible = True
        else:
            # Blocks of a job that ended without a store are of no further use.
            job.blocks.clear()
            self.plot.fill(None)

    def _stop_polling(self) -> None:
        if self._poll is not None:
            self._poll.stop()
            self._poll = None

    def _leave(self) -> None:
        """End the view with its store; the job goes on, and its result is wanted still."""
        self._stop_polling()
        if self.job is not None and self.job.active and self.on_leave is not None:
            self.on_leave(self.job)

    def _draw_blocks(self) -> None:
        """Draw the finished blocks of the map's day, in the embedding layer's colours where the model is the same."""
        job = self.job
        if (
            job is None
            or not job.blocks
            or self.state.page != "compute"
            or job.state in ("cancelled", "failed")
        ):
            return
        day = min(max(self.state.day, job.box.first), job.box.last)
        # Nothing new since the last look: the image need not be sent again.
        state = self.state
        key = day, len(job.blocks), state.layer, state.feature, tuple(sorted(state.colours.items()))
        if self._drawn == key:
            return
        self._drawn = key
        same_model = job.model_digest == self.data.attrs.get("model_digest")
        # Layers that one day of a block has; on others, such as similarity, the box shows its embedding.
        layer = state.layer if state.layer in ("feature", "sigma", "gap", "gpp", "width") else "pca"
        # Features and GPP of another model are other numbers than the map's.
        if not same_model and layer not in ("sigma", "gap"):
            layer = "other model"
        # A copy: the thread of the job appends while this runs.
        blocks = list(job.blocks)
        if layer == "other model":
            # Its features have no components here: half of the int8 range of the first three.
            high = tuple((64 * blocks[0].cube.scale.values[:3]).tolist())
            style = LayerStyle("", "", ("e00", "e01", "e02"), tuple(-end for end in high), high)
        else:
            style = self.data.layer_style(layer, state.feature)
        # NaN is drawn transparent: blocks that are not done yet show the map below.
        values = np.full((*job.box.shape[1:], len(style.channels)), np.nan, "float32")
        for block in blocks:
            values[block.rows, block.cols] = self._block_values(block.cube.sel(time=pd.Timestamp(day)), layer)
        # In the stretch and palette of the map around it, chosen ones included.
        style = with_chosen_colours(LayerImage(values, style, ""), state).style
        self.plot.fill(self.data.grid.window(job.box.rows, job.box.cols), values, style)

    def _block_values(self, cube: xr.Dataset, layer: str) -> np.ndarray:
        """(y, x, channel) of a layer of one day of a block."""
        if layer == "sigma":
            return cube.sigma.values[..., None]
        if layer == "gap":
            days = cube.days_from_s2.values.astype("float32")
            return np.where(days < 0, np.nan, days)[..., None]  # -1: no acquisition at all
        if layer in ("gpp", "width"):
            # The latitude of the scene's middle, as on the map: day length must not change at the box's edge.
            one_day = cube.assign_coords(lat=self.data.scene.latitude).expand_dims(time=[cube.time.values])
            predicted = self.data.predict(one_day, self.data.weather).isel(time=0)
            gpp = predicted.gpp if layer == "gpp" else predicted.gpp_hi - predicted.gpp_lo
            return gpp.transpose("y", "x").values[..., None]
        features = cube.embedding.transpose("y", "x", "feature").values * cube.scale.values
        if layer == "feature":
            return features[..., [self.state.feature]]
        if layer == "pca":
            weights, mean = self.data.components
            features = features @ weights - mean @ weights
        return features[..., :3]

    @property
    def view(self) -> pn.Column:
        def row(*widgets):
            return pn.Row(
                *widgets,
                sizing_mode="stretch_width",
                margin=(4, 0, 4, 0),
                css_classes=["wrap", "gap-8", "bottom"],
            )

        return pn.Column(
            HTML(HELP, sizing_mode="stretch_width", stylesheets=[_TEXT]),
            row(self.draw, self.first, self.last, self.model),
            self.cost,
            row(self.start, self.stop, self.open),
            self.progress,
            sizing_mode="stretch_width",
        )
