"""The line that says that the server is gone or refuses the page, and the way out of a page that asks for a name."""

import logging
import traceback
from pathlib import Path

import panel as pn
from bokeh.server.connection import ServerConnection
from fluxlens.app.views.html import HTML
from fluxlens.app.views.style import fluxlens_design

_LINK = "a { color: var(--muted); white-space: nowrap; } a:hover { color: var(--ink); }"


def add_connection_line() -> None:
    """Put ``connection.js`` into the head of the served page; after anything else that sets the page's template.

    Panel's own notice (``disconnect_notification``) is a part of the page, so that a page whose socket is refused stays
    blank; its ``reconnect`` asks for the session before, which a server that was restarted does not have. This line is
    there before the socket is, and loads the view of the address bar anew.
    """
    page = pn.state.curdoc
    if page is None or page.session_context is None:
        return
    script = (Path(__file__).parent / "web" / "connection.js").read_text()
    block = f"{{% block postamble %}}<script>{{% raw %}}{script}{{% endraw %}}</script>{{% endblock %}}"
    # A text is what this project set before; else it is Bokeh's own template, which Panel extends by the block.
    page.template = (page.template if isinstance(page.template, str) else "") + block


@fluxlens_design()
def logout_link() -> pn.pane.HTML | None:
    """A link that forgets name and password; None where the server asks for none."""
    if pn.state.curdoc is None or pn.state.curdoc.session_context is None or not pn.state.user:
        return None
    return HTML('<a href="logout">Log out</a>', align="center", stylesheets=[_LINK])


def is_no_message_after_its_session(record: logging.LogRecord) -> bool:
    """Filter of logs: not of a message that arrived, or a close that was told, when its session was already given up.

    Where a line breaks while the server is busy, Bokeh detaches the connection from its session first and then handles
    what had still arrived; its check for a session fails, and nothing is lost.

    Parameters
    ----------
    record : logging.LogRecord
        What is about to be logged.

    Returns
    -------
    bool
        Whether it is logged.
    """
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, AssertionError) or error.__traceback__ is None:
        return True
    *_, (last, _) = traceback.walk_tb(error.__traceback__)
    return last.f_code is not ServerConnection.session.fget.__code__
