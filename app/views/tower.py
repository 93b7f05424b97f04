"""The tower's tab: measured GPP with the prediction and the baselines, and their scores at every time scale."""

from html import escape

import numpy as np
import panel as pn
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.towers.comparison import LINES, PAIR, TowerComparison
from fluxlens.app.data.towers.footprint import FOOTPRINT_KINDS, RADIUS_RANGE_M
from fluxlens.app.data.towers.observations import NEAR_TOWER_M, PARTITIONING_LABELS
from fluxlens.app.plots.tower_figures import TIME_HEIGHT_PX, TowerFigures
from fluxlens.app.plots.tower_layout import FLUX_COLOURS, LINE_COLOURS
from fluxlens.app.state.selection import State
from fluxlens.app.views.binding import bind_widget
from fluxlens.app.views.html import HTML
from fluxlens.app.views.legend import LEGEND_CSS, legend_key
from fluxlens.app.views.page_behaviour import group_label, mark_as_chart, save_buttons
from fluxlens.app.views.text_alternatives import describe_tower_charts
from fluxlens.app.views.tower_calibration import TowerCalibration
from fluxlens.embeddings.metrics import SCALES

SCORES = {
    "n": "n",
    "nse": "NSE",
    "r2": "r²",
    "rmse": "RMSE",
    "mae": "MAE",
    "bias": "bias",
    "kge": "KGE",
    "bias2": "bias²",
    "variance": "variance",
    "phase": "phase",
}
"""By the names of ``metrics.scores``; the last three sum to the mean squared error."""
_TABLE = """
table { border-collapse: collapse; width: 100%; font-size: 12px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 6px; text-align: right; white-space: nowrap; }
th { color: var(--muted); font-weight: 500; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, th:nth-child(2), td.name { text-align: left; }
tr.first td { border-top: 1px solid var(--line); } td.scale { color: var(--muted); }
.key { white-space: nowrap; } .line { display: inline-block; width: 14px; height: 2px; margin-right: 5px;
  vertical-align: middle; }
p { color: var(--muted); font-size: 12px; line-height: 1.5; margin: 8px 0; }
/* Twelve columns are more than a phone has room for. They scroll in their box under the names of the lines, and a
   shadow at an edge says that there are more. */
.wide { overflow-x: auto; background: linear-gradient(90deg, var(--card) 30%, transparent) 0 0 / 32px 100%,
  linear-gradient(270deg, var(--card) 30%, transparent) 100% 0 / 32px 100%,
  linear-gradient(90deg, var(--line), transparent) 0 0 / 12px 100%,
  linear-gradient(270deg, var(--line), transparent) 100% 0 / 12px 100%;
  background-repeat: no-repeat; background-attachment: local, local, scroll, scroll; }
.wide:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
@media (max-width: 1100px) { th:nth-child(2), td.name { position: sticky; left: 0; background: var(--card); } }
@media (max-width: 520px) { table { font-size: 11px; } th, td { padding: 3px 4px; } }
"""
_NOTES = "p { color: var(--muted); font-size: 12px; line-height: 1.5; margin: 0 0 4px; }"
PLOT_TITLES = {
    "series": "Daily GPP, gC m⁻² d⁻¹",
    "scatter": "Predicted over measured",
    "cycle": "Mean seasonal cycle",
    "anomaly": "Anomalies from the mean seasonal cycle",
}
_SLIDER = ".bk-input-group label, .bk-slider-title { font-size: 12px; color: var(--muted); }"
HEIGHTS = {"series": TIME_HEIGHT_PX, "scatter": 350, "cycle": 350, "anomaly": TIME_HEIGHT_PX}
ONE_PIXEL = "predicted for one pixel; the tower measures land around it: see Radius"
NO_ANOMALY = "<span>none: they need the same days in two years on screen</span>"


def notes_text(comparison: TowerComparison, shown: list[str]) -> str:
    """HTML of what the charts lack or show otherwise than usual, a sentence each; it stands above them.

    Parameters
    ----------
    comparison : TowerComparison
        Gives the reasons.
    shown : list of str
        Names of ``LINES`` that are switched on.
    """
    sentences = list(comparison.missing)
    if set(PAIR) <= set(comparison.lines) and not set(PAIR) & set(shown):
        model, baseline = (LINES[name] for name in PAIR)
        sentences.append(f"{model} and {baseline} are shown together; press either to see both.")
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def scores_table(comparison: TowerComparison, shown: list[str]) -> str:
    """HTML table of scores, with the split of each line below.

    Parameters
    ----------
    comparison : TowerComparison
        Lines and scores.
    shown : list of str
        Names of ``LINES`` that get a row at each time scale.
    """
    rows = []
    for scale in SCALES:
        # Lines without enough days at a scale have no scores there, and no empty row.
        names = [
            name
            for name in comparison.lines
            if name in shown and comparison.scores.get(f"{name}.{scale}.n", 0) > 0
        ]
        for i, name in enumerate(names):
            cells = (_format_cell(score, comparison.scores[f"{name}.{scale}.{score}"]) for score in SCORES)
            scale_cell = f'<td class="scale">{scale if not i else ""}</td>'
            name_cell = f'<td class="name">{legend_key("line", LINE_COLOURS[name], LINES[name])}</td>'
            rows.append(f'<tr class="{"" if i else "first"}">{scale_cell}{name_cell}{"".join(cells)}</tr>')
    heads = "".join(f"<th>{head}</th>" for head in ("scale", "line", *SCORES.values()))
    # No score without its split: readers must know what each line was fitted to.
    splits_by_line = comparison.splits | {
        "model": comparison.splits["model"]
        + (f" (trained on {comparison.training_data})" if comparison.training_data else "")
    }
    splits = ". ".join(
        f"<b>{LINES[name]}</b>: {escape(splits_by_line[name])}" for name in comparison.lines if name in shown
    )
    # Scrolls inside its own box, so that a phone's page does not scroll sideways.
    # Reached by the keyboard too, since it may have to be scrolled.
    box = '<div class="wide" tabindex="0" role="region" aria-label="Scores">'
    table = f"{box}<table><tr>{heads}</tr>{''.join(rows)}</table></div>" if rows else ""
    notes = (
        "<p>NSE = 1 − SSE/SST, r² = squared correlation; RMSE, MAE, bias in gC m⁻² d⁻¹; bias² + variance + "
        f"phase = mean squared error, (gC m⁻² d⁻¹)². How each line was fitted. {splits}.</p>"
        if rows
        else ""
    )
    return table + notes


def _format_cell(name: str, value: float) -> str:
    # A dash and not 'nan': a score of fewer days than it needs is missing, not zero.
    number = "–" if not np.isfinite(value) else f"{value:.0f}" if name == "n" else f"{value:.2f}"
    # A bias of -0.001 is none.
    number = "0.00" if number == "-0.00" else number
    return f"<td>{number.replace('-', '−')}</td>"


class TowerView:
    """Controls above, charts, the table below; nothing is computed before the tab is shown.

    Parameters
    ----------
    state : State
        The choices.
    data : ExplorerData
        The store on screen; it has a tower with GPP.
    draw_footprint : callable
        Called with the outlines of the footprint to draw on the map; with () to remove them.
    calibration : TowerCalibration, optional
        Its buttons stand beside the choice of pixels and its text below them, above the charts.
    below : list of panel.viewable.Viewable
        Widgets at the end of the tab.
    """

    def __init__(
        self,
        state: State,
        data: ExplorerData,
        draw_footprint,
        calibration: TowerCalibration | None = None,
        below: list[pn.viewable.Viewable] = (),
    ):
        self.state, self.data, self.draw_footprint = state, data, draw_footprint
        self.calibration, self.below = calibration, below
        self.charts = TowerFigures(data.days, on_day=lambda day: setattr(state, "day", day))
        self.head = _html(LEGEND_CSS)
        self._make_controls()
        self.notes = _html(_NOTES)
        self.table = _html(_TABLE)
        self.scores_title = _html(LEGEND_CSS)
        self.titles = {name: _html(LEGEND_CSS, _title(name, title)) for name, title in PLOT_TITLES.items()}
        for name, figure in self.charts.figures.items():
            mark_as_chart(figure, f"tower/{name}")
        self.comparison: TowerComparison | None = None
        """What is drawn; None before the tab is shown."""
        self.panes = {
            # The scatter is a square of a fixed size: equal axes in every width of the page.
            name: pn.pane.Bokeh(fig, margin=(5, 10))
            if name == "scatter"
            else pn.pane.Bokeh(fig, sizing_mode="stretch_width", height=HEIGHTS[name], margin=(5, 10))
            for name, fig in self.charts.figures.items()
        }
        bind_widget(state, "flux", self.flux)
        # A comparison takes up to a second: sliders answer when they are let go.
        bind_widget(state, "min_qc", self.quality, "value_throttled")
        bind_widget(state, "footprint_kind", self.footprint_kind)
        bind_widget(state, "radius_m", self.radius, "value_throttled")
        bind_widget(state, "height_m", self.height)
        # Not part of the state: which lines are shown is not in the permalink.
        self.shown.param.watch(self._show_lines, "value")
        state.watch(self._update, ["page", "flux", "min_qc", "footprint_kind", "radius_m", "height_m"])
        state.watch(lambda event: self.charts.apply_theme("dark" if event.new else "light"), "dark")
        self.charts.apply_theme("dark" if state.dark else "light")
        self._update()

    def _make_controls(self) -> None:
        """Widgets of partitioning, quality, lines, and pixels of the prediction, as the state has them."""
        state, data = self.state, self.data
        self.flux = pn.widgets.RadioButtonGroup(
            options={PARTITIONING_LABELS[name]: name for name in data.observations.fluxes},
            value=self._flux,
            css_classes=["quiet"],
            **group_label("Partitioning of the tower's GPP"),
        )
        # Quality is the share of measured half-hours; towers without it have nothing to choose.
        self.quality = pn.widgets.FloatSlider(
            label="Quality at least",
            start=0,
            end=1,
            step=0.05,
            value=state.min_qc,
            width=170,
            margin=(0, 10, 0, 12),
            visible="qc" in data.tower,
            stylesheets=[_SLIDER],
        )
        # Buttons carry the colours of their lines and are the legend of all four figures.
        self.shown = pn.widgets.CheckButtonGroup(
            options={label: name for name, label in LINES.items()},
            value=list(LINES),
            css_classes=["quiet"],
            stylesheets=[_line_marks([LINE_COLOURS[name] for name in LINES])],
            **group_label("Lines"),
        )
        # The footprint model needs wind and turbulence of half-hours; radius and pixel need none.
        kinds = [
            name for name in FOOTPRINT_KINDS if name != "footprint" or data.observations.wind is not None
        ]
        self.footprint_kind = pn.widgets.RadioButtonGroup(
            options={FOOTPRINT_KINDS[name]: name for name in kinds},
            value=state.footprint_kind if state.footprint_kind in kinds else "pixel",
            css_classes=["quiet"],
            **group_label("Pixels of the prediction"),
        )
        self.radius = pn.widgets.IntSlider(
            label="Radius, m",
            start=RADIUS_RANGE_M[0],
            end=RADIUS_RANGE_M[1],
            step=10,
            value=int(state.radius_m),
            width=170,
            margin=(0, 10, 0, 12),
            stylesheets=[_SLIDER],
        )
        # Unknown to the files: it must come from the site's description.
        self.height = pn.widgets.FloatInput(
            value=state.height_m,
            start=0.1,
            end=200,
            label="Sensors above displacement height, m",
            width=220,
        )

    @property
    def _flux(self) -> str:
        """The chosen partitioning, or the only one that the tower has."""
        available = self.data.observations.fluxes
        return self.state.flux if self.state.flux in available else available[0]

    def _show_lines(self, event) -> None:
        """Draw the chosen lines; the prediction goes and comes with the baseline that it is read against."""
        model, baseline = PAIR
        if model in event.new and baseline not in event.new:
            # Which of the two was pressed decides: a baseline that goes takes the prediction with it.
            lines = set(event.new) - {model} if baseline in event.old else {*event.new, baseline}
            self.shown.value = [name for name in LINES if name in lines]
        else:
            self._update()

    def _update(self, *_) -> None:
        state = self.state
        # Nothing is compared in the background: it takes up to a second and the tab may never be shown again. The
        # footprint belongs to the tab and leaves the map with it.
        if state.page != "tower":
            self.draw_footprint(())
            return
        flux = self._flux
        self.radius.visible = state.footprint_kind == "radius"
        self.height.visible = state.footprint_kind == "footprint"
        comparison = self.data.compare_tower(flux, state.min_qc, state.footprint_args)
        self.comparison = comparison
        # Drawn with the scores, so that the outline on the map is that of the numbers shown.
        self.draw_footprint(comparison.footprint.outlines)
        self.charts.show(comparison, flux, self.shown.value)
        describe_tower_charts(self.charts.figures, comparison, self.shown.value)
        self.notes.object = notes_text(comparison, self.shown.value)
        self.table.object = scores_table(comparison, self.shown.value)
        one_year = not np.isfinite(comparison.anomaly(comparison.measured)).any()
        self.titles["anomaly"].object = (
            f'<div class="head"><b>{PLOT_TITLES["anomaly"]}</b>{NO_ANOMALY}</div>'
            if one_year
            else _title("anomaly", PLOT_TITLES["anomaly"])
        )
        # One year has no mean seasonal cycle and no anomalies: a sentence stands in place of an empty chart.
        self.panes["anomaly"].visible = not one_year
        self.head.object = f'<div class="head">{"".join(self._make_heading(comparison))}</div>'
        self.scores_title.object = _title("scores", "Scores", picture=False) if comparison.scores else ""

    def _make_heading(self, comparison: TowerComparison):
        attrs = self.data.tower.attrs
        note = " beside a simulated scene" if self.data.simulated else ""
        note = " · simulated" if int(attrs.get("simulated", self.data.simulated)) else note
        yield f"<b>{escape(str(attrs.get('site', 'Tower')))}{note}</b>"
        if "igbp" in attrs:
            yield f"<span>{escape(str(attrs['igbp']))}</span>"
        if self.state.footprint_kind == "pixel":
            # Fields beside it may be green after its own is cut: the difference is then no error of the head.
            yield f"<span>{ONE_PIXEL}</span>"
        else:
            yield f"<span>{escape(comparison.footprint.label)}</span>"
        # A tower outside the scene is compared with the nearest pixel, which must be said.
        distance_m = self.data.observations.distance_m(*self.data.start_pixel)
        if distance_m is not None and distance_m > NEAR_TOWER_M:
            yield f"<span>{distance_m / 1000:.1f} km from the nearest pixel</span>"
        # Days of the chosen quality, since they are what the scores stand on.
        count = int(np.isfinite(comparison.measured).sum())
        yield legend_key(
            "dot", FLUX_COLOURS[self._flux], f"{PARTITIONING_LABELS[self._flux]} GPP, {count} days"
        )
        if "model.coverage" in comparison.scores:
            share = comparison.scores["model.coverage"]
            yield legend_key(
                "area", LINE_COLOURS["model"], f"90 % band, holds {100 * share:.0f} % of the days"
            )

    @property
    def view(self) -> pn.Column:
        controls = pn.Row(
            self.flux,
            self.quality,
            self.shown,
            sizing_mode="stretch_width",
            css_classes=["wrap", "gap-8", "middle"],
        )
        footprint_controls = pn.Row(
            self.footprint_kind,
            self.radius,
            self.height,
            *([self.calibration.buttons] if self.calibration else []),
            sizing_mode="stretch_width",
            margin=(8, 0, 0, 0),
            css_classes=["wrap", "gap-8", "middle"],
        )
        boxes = {
            name: pn.Column(self.titles[name], pane, sizing_mode="stretch_width")
            for name, pane in self.panes.items()
        }
        # Two figures side by side where there is room, below each other on narrow screens.
        pair = pn.Row(
            boxes["scatter"],
            boxes["cycle"],
            sizing_mode="stretch_width",
            stylesheets=[
                ":host { display: grid !important; grid-template-columns: 1fr 1fr; gap: 8px; }"
                "@media (max-width: 1100px) { :host { grid-template-columns: 1fr; } }"
            ],
        )
        return pn.Column(
            controls,
            footprint_controls,
            *([self.calibration.text] if self.calibration else []),
            self.head,
            self.notes,
            boxes["series"],
            pair,
            boxes["anomaly"],
            self.scores_title,
            self.table,
            *self.below,
            sizing_mode="stretch_width",
        )


def _line_marks(colours: list[str]) -> str:
    """CSS that puts a line in its colour on each button of a group."""
    return "".join(
        f".bk-btn:nth-child({n})::before {{ content: ''; display: inline-block; width: 14px; height: 3px; "
        f"margin-right: 6px; vertical-align: middle; background: {colour}; }}"
        for n, colour in enumerate(colours, 1)
    )


def _title(name: str, title: str, picture: bool = True) -> str:
    """HTML of the title of a chart with its buttons."""
    line = legend_key("dash", "var(--muted)", "1:1 line") if name == "scatter" else ""
    return f'<div class="head saved"><b>{title}</b>{line}{save_buttons(f"tower/{name}", picture)}</div>'


def _html(css: str, text: str = "") -> pn.pane.HTML:
    return HTML(text, sizing_mode="stretch_width", margin=(6, 0, 0, 0), stylesheets=[css])
