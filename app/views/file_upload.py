"""Upload of a file in parts that a websocket can carry, refused by its size before it is sent."""

from collections.abc import Callable

import param
from fluxlens.app.state.selection import State
from fluxlens.app.views.style import parts_css
from panel.custom import JSComponent

# Not ``pn.widgets.FileDropper`` (Panel 1.9.4; docs/decisions/0011). Its ``max_file_size`` is checked by the browser
# alone, while ``_process_event`` joins whatever chunks a client sends, without a bound: one visitor could fill the
# memory of all sessions. All of them would be called "Drag & Drop your files or Browse", which cannot be set, and zip
# files of Windows are refused for their MIME type.
_CSS = """
label { display: inline-flex; align-items: center; position: relative; box-sizing: border-box; white-space: nowrap; }
label:focus-within { outline: 2px solid var(--accent); outline-offset: 1px; }
input { position: absolute; inset: 0; width: 100%; opacity: 0; cursor: pointer; font-size: 0; }
"""


class FileUpload(JSComponent):
    """A button that uploads one file, which stays in memory.

    Parameters
    ----------
    state : State
        Gets the message where a file is too large.
    on_file : callable
        Called with the user's file name, which nothing may open, and the content.
    max_bytes : int
        Largest file.
    advice : str
        What to do with a larger one, for the message.
    **params
        ``text`` and ``accept``.
    """

    text = param.String(doc="On the button.")
    accept = param.String(doc="Endings the browser offers, such as .csv,.zip.")

    _esm = """
    const PART = 2 ** 21;  // the server's limit on a websocket message is larger; base64 adds a third
    export function render({ model }) {
      const label = document.createElement("label"), caption = document.createElement("span");
      const field = document.createElement("input");
      label.className = "bk-btn";
      field.type = "file";
      field.accept = model.accept;
      field.setAttribute("aria-label", model.text);
      caption.textContent = model.text;
      label.append(caption, field);
      model.on("text", () => { caption.textContent = model.text; });
      let file = null;
      field.addEventListener("change", () => {
        file = field.files[0] || null;
        field.value = "";  // the same file may be chosen again
        if (file) model.send_msg({ name: file.name, size: file.size });
      });
      model.on("msg:custom", async (event) => {
        const at = (event.data || event).next;
        if (!file || at === null || at >= file.size) {
          file = null;
          caption.textContent = model.text;
          return;
        }
        caption.textContent = `${model.text}: ${Math.floor(100 * at / file.size)} %`;
        const bytes = new Uint8Array(await file.slice(at, at + PART).arrayBuffer());
        let chars = "";
        for (let i = 0; i < bytes.length; i += 32768) {
          chars += String.fromCharCode(...bytes.subarray(i, i + 32768));
        }
        model.send_msg({ part: btoa(chars) });
      });
      return label;
    }
    """

    def __init__(
        self, state: State, on_file: Callable[[str, bytes], None], max_bytes: int, advice: str, **params
    ):
        super().__init__(stylesheets=[parts_css(), _CSS], **params)
        self._state, self._on_file, self._max_bytes, self._advice = state, on_file, max_bytes, advice
        self._name, self._size, self._received = "", 0, bytearray()

    def _handle_msg(self, data) -> None:
        """Take the name and size of a file, or its next part; asks for the part after it.

        A part is sent only when the one before has arrived, so that at most one waits in the connection.
        """
        import base64

        if "size" in data:
            self._name, self._size, self._received = str(data["name"]), int(data["size"]), bytearray()
            if not 0 < self._size <= self._max_bytes:
                self._state.message = (
                    f"Got a file of {self._size:,} bytes, need 1 to {self._max_bytes:,}; {self._advice}."
                )
                self._size = 0
        else:
            # Nothing stops a client that sends on: it is refused below as soon as it has sent more than it announced.
            self._received += base64.b64decode(data["part"])
        if not 0 < self._size > len(self._received):  # refused, complete, or more than was announced
            self._send_msg({"next": None})
            content, self._received = bytes(self._received), bytearray()
            if self._size == len(content) > 0:
                self._on_file(self._name, content)
            self._size = 0
            return
        self._send_msg({"next": len(self._received)})
