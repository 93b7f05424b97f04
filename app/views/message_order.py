"""Messages to the page in the order in which they were made.

A model of Bokeh is defined by the first message that names it; later messages only refer to it. Panel writes the
changes of its own widgets past Bokeh's queue: at once where the connection is free, and some milliseconds later where
it is busy. A message of Bokeh's queue can so overtake the one that defines what it refers to, or be overtaken by one
that refers to what it defines. The page then drops the message ("reference p123 isn't known") and shows something
old. It happens on slow lines and busy machines alone.

Panel also answers an event later, and then without the document's lock, where a widget's change came just before it:
a press that leaves a text field, the first press on a new page. Models of Bokeh may not be changed without it.
"""

import panel.io.document as dispatch
from bokeh.document import Document
from bokeh.document.events import DocumentPatchedEvent
from bokeh.server.connection import ServerConnection
from panel.reactive import Syncable

_write_past_queue = dispatch.write_events


class _QueuedInstead(Exception):
    """Makes Panel leave changes to Bokeh's queue, as it does by itself where it cannot write them."""


def _write(doc: Document, connections: list[ServerConnection], events: list[DocumentPatchedEvent]) -> None:
    # What Bokeh's queue holds was made earlier in the same callback and goes out when that returns.
    if doc.session_context.session._pending_writes:
        raise _QueuedInstead
    _write_past_queue(doc, connections, events)


def _write_later(
    doc: Document, connections: list[ServerConnection], events: list[DocumentPatchedEvent]
) -> None:
    # Panel would try again whenever the connection is free; Bokeh's queue waits in line.
    raise _QueuedInstead


def keep_message_order() -> None:
    """Make Panel use Bokeh's queue where its messages and those of Bokeh could overtake one another.

    Its handlers of changes and events hold the document's lock.
    """
    dispatch.write_events, dispatch.schedule_write_events = _write, _write_later
    # What `panel.io.with_lock` sets; the handlers wait for nothing but one another's turn.
    Syncable._change_coroutine.lock = Syncable._event_coroutine.lock = True
