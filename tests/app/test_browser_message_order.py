"""Messages reach the page in the order they were made, however busy the connection is."""

import panel as pn
import panel.io.document as dispatch
import pytest
from bokeh.models import ColumnDataSource, Div, Row
from bokeh.models.callbacks import CustomJS
from bokeh.plotting import figure
from fluxlens.app.views.message_order import keep_message_order
from panel.reactive import Syncable
from test_browser import browser, chromium, free_port  # noqa: F401 (fixtures)
from tornado.ioloop import IOLoop

pytestmark = pytest.mark.browser


def keep_busy(seconds: float) -> None:
    """Hold the lock of the session's connection, as the sending of a large message over a slow line does."""
    (connection,) = pn.state.curdoc.session_context.session._subscribed_connections
    lock = connection._socket.write_lock
    lock.acquire()
    IOLoop.current().call_later(seconds, lock.release)


def new_plot() -> tuple[ColumnDataSource, figure]:
    source = ColumnDataSource({"x": [1.0], "y": [1.0]})
    plot = figure(width=200, height=200)
    plot.scatter("x", "y", source=source)
    return source, plot


def app():
    """Two buttons: each shows a new plot by one way of sending and moves its point by the other."""
    shown, raw = pn.Column(), Row(children=[])
    answer = Div(text="")

    def tell(source: ColumnDataSource) -> None:
        source.js_on_change(
            "data", CustomJS(args={"answer": answer}, code="answer.text = `x is ${this.data.x[0]}`")
        )

    def by_panel(_) -> None:
        keep_busy(0.3)
        source, plot = new_plot()
        tell(source)
        shown[:] = [pn.pane.Bokeh(plot)]
        source.data = {"x": [2.0], "y": [1.0]}

    def by_bokeh(_) -> None:
        source, plot = new_plot()
        tell(source)
        raw.children = [plot]
        with pn.io.unlocked():
            source.data = {"x": [3.0], "y": [1.0]}

    buttons = [pn.widgets.Button(label="Panel first"), pn.widgets.Button(label="Bokeh first")]
    buttons[0].on_click(by_panel)
    buttons[1].on_click(by_bokeh)
    name = pn.widgets.TextInput(placeholder="name")
    return pn.Column(name, *buttons, shown, pn.pane.Bokeh(raw), pn.pane.Bokeh(answer))


@pytest.fixture
def page(browser, monkeypatch):  # noqa: F811
    for name in ("write_events", "schedule_write_events"):
        monkeypatch.setattr(dispatch, name, getattr(dispatch, name))  # as before when the test ends
    for handler in (Syncable._change_coroutine, Syncable._event_coroutine):
        monkeypatch.setattr(handler, "lock", False, raising=False)
    keep_message_order()
    port = free_port()
    server = pn.serve(app, port=port, threaded=True, show=False, verbose=False)
    page = browser.new_page()
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(f"http://localhost:{port}/")
    yield page
    page.close()
    server.stop()


@pytest.mark.parametrize(("button", "text"), [("Panel first", "x is 2"), ("Bokeh first", "x is 3")])
def test_a_plot_is_known_before_its_points_move(page, button, text):
    page.get_by_role("button", name=button).click()
    page.get_by_text(text).wait_for(timeout=60_000)
    assert page.wrong == []


def test_a_press_that_leaves_a_text_field_may_change_plots(page):
    # The field's change and the press come as one; Panel then answers the press later, without the document's lock.
    page.get_by_placeholder("name").press_sequentially("meadow")
    page.get_by_role("button", name="Bokeh first").click()
    page.get_by_text("x is 3").wait_for(timeout=20_000)
    assert page.wrong == []
