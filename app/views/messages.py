"""The error message, the explanation of a first visit, and the progress while data are being made."""

from html import escape
from urllib.parse import urlencode

import panel as pn
from fluxlens.app.state.selection import State
from fluxlens.app.views.html import HTML
from fluxlens.app.views.style import fluxlens_design
from fluxlens.app.views.visitor_text import visitor_text

WELCOME = (
    "<b>Every day, every 10 m pixel.</b> fluxlens fuses Sentinel-1 and Sentinel-2 into a daily embedding, "
    "and reads gross primary production (GPP) from it. Tap the map for a pixel's season; move the day with "
    "the slider, the ← → keys, or a tap in a chart. Filled dots are clear satellite observations; shaded days "
    "had none for over 10 days, and the model fills them."
)
WAITING = (
    "What is not stored yet is made on this machine, once: for the demo a simulated landscape, two years of "
    "satellite passes over it, and their daily embeddings. The first time takes minutes, the next start seconds. "
    "This page goes on by itself."
)
MAX_NOTES = 5
"""Sentences of a banner: a folder of many broken files must not push the map off the screen."""
BANNER_CSS = """
.banner ul { margin: 0; padding: 0 0 0 16px; }
.banner { display: flex; gap: 10px; align-items: baseline; padding: 9px 14px; border-radius: 8px;
  line-height: 1.5;
  font-size: 13px; }
.warn { background: var(--warn-bg); color: var(--warn); border: 1px solid var(--warn-line); }
.hello { background: var(--accent-weak); color: var(--ink); }
"""
_STICKY = ":host { position: sticky; top: 0; z-index: 20; }"
_WAIT = """
.wait { max-width: 560px; margin: 16vh auto 0; padding: 0 24px; text-align: left; }
h2 { font: 600 20px/1.3 var(--font); margin: 0 0 6px; }
li { line-height: 1.7; font-size: 14px; overflow-wrap: anywhere; } a { color: var(--accent); }
p { color: var(--muted); line-height: 1.55; margin: 0 0 22px; font-size: 14px; }
.track { height: 6px; border-radius: 3px; background: var(--line); overflow: hidden; }
.bar { height: 100%; border-radius: 3px; background: var(--accent); transition: width .4s; }
.step { display: flex; justify-content: space-between; margin-top: 10px; font-size: 13px; color: var(--ink);
  font-variant-numeric: tabular-nums; }
"""


def message(state: State) -> pn.Column:
    """The state's message in a banner with a button to close it; empty while there is none.

    Parameters
    ----------
    state : State
        Its ``message`` is shown, and emptied by the button.

    Notes
    -----

    Never an invisible pane: a browser that has not drawn it yet fails at making it visible, and with it all else that
    comes in the same message (Panel 1.9).
    """
    # In the flow of the page and not floating: what floats covers a chart or a button. It stays in sight when the
    # page is scrolled.
    column = pn.Column(sizing_mode="stretch_width", stylesheets=[_STICKY])

    def update(*_) -> None:
        if not state.message:
            column[:] = []
            return
        text = HTML(
            f'<div class="banner warn" role="alert"><span>{escape(visitor_text(state.message))}</span></div>',
            sizing_mode="stretch_width",
            stylesheets=[BANNER_CSS],
        )
        close = pn.widgets.Button(
            label="×", description="Close this message (Esc)", align="center", margin=(0, 0, 0, 8)
        )
        close.on_click(lambda _: setattr(state, "message", ""))
        column[:] = [pn.Row(text, close, sizing_mode="stretch_width", margin=(0, 0, 10, 0))]

    # Buttons are made in callbacks, long after the page, and must have its design all the same.
    state.param.watch(fluxlens_design()(update), "message")
    update()
    return column


def data_notes(state: State) -> pn.Column:
    """What readers left out of the files on screen, with a button to close it; empty while there is nothing.

    Parameters
    ----------
    state : State
        Its ``notes`` are shown, and emptied by the button.
    """
    # A column without children while there is nothing, and not an invisible one, for the reason of ``message``.
    column = pn.Column(sizing_mode="stretch_width")

    def update(*_) -> None:
        if not state.notes:
            column[:] = []
            return
        # A folder of odd files can give dozens of notes; the first few and a count are enough.
        shown = state.notes[:MAX_NOTES]
        more = len(state.notes) - len(shown)
        sentences = "".join(f"<li>{escape(visitor_text(note))}</li>" for note in shown)
        rest = f"<li>and {more} more</li>" if more else ""
        text = HTML(
            f'<div class="banner warn" role="status"><ul>{sentences}{rest}</ul></div>',
            sizing_mode="stretch_width",
            stylesheets=[BANNER_CSS],
        )
        close = pn.widgets.Button(label="Close", align="center", margin=(0, 0, 0, 8))
        # The state owns the notes, so that closing here closes them for every view.
        close.on_click(lambda _: setattr(state, "notes", []))
        column[:] = [pn.Row(text, close, sizing_mode="stretch_width", margin=(0, 0, 10, 0))]

    # Buttons are made in callbacks, long after the page, and must have its design all the same.
    state.param.watch(fluxlens_design()(update), "notes")
    update()
    return column


def welcome(on_close) -> pn.Row:
    """The explanation of a first visit; ``on_close()`` is called when the user closes it."""
    text = HTML(
        f'<div class="banner hello"><span>{WELCOME}</span></div>',
        sizing_mode="stretch_width",
        stylesheets=[BANNER_CSS],
    )
    close = pn.widgets.Button(label="Got it", margin=(0, 12, 0, 4), align="center")
    row = pn.Row(
        text,
        close,
        sizing_mode="stretch_width",
        margin=(0, 0, 10, 0),
        stylesheets=[
            ":host { background: var(--accent-weak); border-radius: 8px; }"
            "@media (max-width: 520px) { :host { flex-wrap: wrap; padding-bottom: 10px; } "
            ".bk-panel-models-markup-HTML { flex-basis: 100% !important; } "
            ".bk-panel-models-widgets-Button { margin-left: 14px !important; } }"
        ],
    )

    def hide(_) -> None:
        row.visible = False
        on_close()

    close.on_click(hide)
    return row


def waiting(title: str, step: str, fraction: float, seconds: float) -> str:
    """HTML of the page while data are being made.

    Parameters
    ----------
    title, step : str
        What is made, and what is being done.
    fraction : float
        Done so far, 0-1.
    seconds : float
        Since the start.
    """
    percent = round(100 * min(max(fraction, 0.0), 1.0))
    elapsed = f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
    return (
        f'<div class="wait"><h2>{escape(title)}</h2><p>{WAITING}</p>'
        f'<div class="track" role="progressbar" aria-valuenow="{percent}" aria-valuemin="0" '
        'aria-valuemax="100">'
        f'<div class="bar" style="width:{max(percent, 2)}%"></div></div>'
        f'<div class="step"><span>{escape(step)}</span><span>{percent} % · {elapsed} min</span></div></div>'
    )


def nothing(entries: list[str]) -> str:
    """HTML of the page when there is nothing to show; names the ``entries`` that can be chosen."""
    # Links and not buttons: they can be opened in another window, and nothing of the link that failed comes along.
    names = "".join(
        f'<li><a href="?{urlencode({"entry": name})}">{escape(name)}</a></li>' for name in entries
    )
    advice = (
        f"Choose one of the entries:</p><ul>{names}</ul><p>"
        if entries
        else (
            "Mend what the message names and load this page again, or start with another catalog: "
            "<code>fluxlens serve --catalog catalog.yaml</code>."
        )
    )
    return f'<div class="wait"><h2>Nothing to show yet</h2><p>{advice}</p></div>'


def waiting_pane() -> pn.pane.HTML:
    """The pane that shows ``waiting`` and ``nothing``."""
    return HTML("", sizing_mode="stretch_width", min_height=420, stylesheets=[_WAIT])
