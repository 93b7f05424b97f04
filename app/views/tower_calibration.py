"""The button that calibrates GPP to the tower on screen, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from html import escape

import panel as pn
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.towers.observations import PARTITIONING_LABELS
from fluxlens.app.state.selection import State
from fluxlens.app.views.html import HTML
from fluxlens.embeddings.gpp import Calibration
from fluxlens.models.errors import InputError

BUTTON = "Calibrate with this tower"
_TEXT = "p { color: var(--muted); font-size: 12px; line-height: 1.5; margin: 0 0 6px; } p b { color: var(--ink); }"


def describe(calibration: Calibration) -> str:
    """What a calibration is of and what it changed, as HTML.

    Parameters
    ----------
    calibration : Calibration
        In use on screen.
    """
    head = calibration.heads[0]
    gain, sd = head.pooled.mean[0], head.pooled.covariance[0, 0] ** 0.5
    text = (
        f"<p><b>GPP is calibrated with {escape(calibration.name)}</b> on all maps and charts of this visit:"
        f" {calibration.measured['days']} days, {calibration.measured['start']} to {calibration.measured['end']},"
        f" {_name_measured(calibration.measured['variable'])}; gain {1 + gain:.2f} ± {sd:.2f}."
    )
    if head.checked:
        c = head.checked
        text += (
            f" On days left out in blocks: RMSE {c['rmse_before']:.2f} before, {c['rmse_after']:.2f} after,"
            f" NSE {_number(c['nse_before'])} before, {_number(c['nse_after'])} after; the 90 % band holds"
            f" {100 * c['coverage_after']:.0f} % of them."
        )
    return f"{text}</p>"


def _name_measured(variable: str) -> str:
    """HTML of what a calibration was fitted to: the field's words, with the name that files have."""
    label = PARTITIONING_LABELS.get(variable)
    return escape(variable if label is None else f"{label.lower()} partitioned GPP ({variable})")


def _number(value: float) -> str:
    # A typographic minus, in numbers alone: names of towers have hyphens.
    return f"{value:.2f}".replace("-", "−")


class TowerCalibration:
    """A button that calibrates, one that takes the calibration away, and a sentence.

    Parameters
    ----------
    state : State
        Partitioning and quality that count; gets messages.
    data : ExplorerData
        The store on screen, with a tower.
    on_calibration : callable
        Called with the Calibration, or with None to take it away.
    """

    def __init__(
        self, state: State, data: ExplorerData, on_calibration: Callable[[Calibration | None], None]
    ):
        self.state, self.data, self.on_calibration = state, data, on_calibration
        calibration = data.scene.calibration
        self.button = pn.widgets.Button(label=BUTTON, visible=calibration is None)
        self.remove = pn.widgets.Button(label="Without calibration", visible=calibration is not None)
        self.button.on_click(lambda _: pn.state.execute(self._calibrate))
        self.remove.on_click(lambda _: self.on_calibration(None))
        self.text = HTML(
            "" if calibration is None else describe(calibration),
            sizing_mode="stretch_width",
            margin=(6, 0, 0, 0),
            stylesheets=[_TEXT],
        )
        # Nothing predicts without a head: nothing can be calibrated.
        self.buttons = pn.Row(self.button, self.remove, visible=data.predict is not None)

    async def _calibrate(self) -> None:
        state, available = self.state, self.data.observations.fluxes
        flux = state.flux if state.flux in available else available[0]
        self.button.disabled = True
        try:
            # In a thread: the footprint's prediction takes up to a second, in which no other session may wait.
            calibration = await asyncio.to_thread(
                self.data.calibrate_tower, flux, state.min_qc, state.footprint_args
            )
        except InputError as error:
            state.message = str(error)
        else:
            self.on_calibration(calibration)
        finally:
            self.button.disabled = False
