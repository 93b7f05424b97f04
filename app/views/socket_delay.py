"""Websockets that send each frame at once.

An answer to a tap is one message of many small frames. TCP holds a small frame back until the one before is confirmed
(Nagle's algorithm), and a browser waits up to 40 ms before it confirms: a tap took 40 ms longer on one machine, and a
round trip longer on a slow line. Tornado leaves that on, and neither Bokeh nor Panel turns it off.
"""

from functools import cache, wraps

from bokeh.server.views.ws import WSHandler


@cache
def send_frames_at_once() -> None:
    """Turn the delay off for the websockets that Bokeh opens from now on; once in a process."""
    # The method and not the class: `panel serve` has its routes before it runs the code of a page.
    opened = WSHandler.open

    @wraps(opened)
    def open_without_delay(self: WSHandler, *args, **kwargs) -> None:
        opened(self, *args, **kwargs)
        # None where the token was refused and the connection is closed again.
        if self.ws_connection is not None:
            self.set_nodelay(True)

    WSHandler.open = open_without_delay
