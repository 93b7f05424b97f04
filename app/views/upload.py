"""A file from the visitor's machine, in parts that a connection can carry, refused by its size before it is sent."""

from collections.abc import Callable

import param
from panel.custom import JSComponent

from app.state import State
from app.views.style import sheets

_LOOK = """
label { display: inline-flex; align-items: center; position: relative; box-sizing: border-box; white-space: nowrap; }
label:focus-within { outline: 2px solid var(--accent); outline-offset: 1px; }
input { position: absolute; inset: 0; width: 100%; opacity: 0; cursor: pointer; font-size: 0; }
"""


class Upload(JSComponent):
    """A button; ``on_file(name, content)`` gets a whole file of at most ``most`` bytes, held in memory alone.

    The name is the visitor's: nothing opens it. The next part is sent when the one before has come.
    """

    words = param.String(doc="On the button.")
    accept = param.String(doc="Endings the browser offers, such as .csv,.zip.")

    _esm = """
    const PART = 2 ** 21;
    export function render({ model }) {
      const label = document.createElement("label"), words = document.createElement("span");
      const field = document.createElement("input");
      label.className = "bk-btn";
      field.type = "file";
      field.accept = model.accept;
      field.setAttribute("aria-label", model.words);
      words.textContent = model.words;
      label.append(words, field);
      model.on("words", () => { words.textContent = model.words; });
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
          words.textContent = model.words;
          return;
        }
        words.textContent = `${model.words}: ${Math.floor(100 * at / file.size)} %`;
        const bytes = new Uint8Array(await file.slice(at, at + PART).arrayBuffer());
        let text = "";
        for (let i = 0; i < bytes.length; i += 32768) {
          text += String.fromCharCode(...bytes.subarray(i, i + 32768));
        }
        model.send_msg({ part: btoa(text) });
      });
      return label;
    }
    """

    def __init__(self, state: State, on_file: Callable[[str, bytes], None], most: int, advice: str, **params):
        super().__init__(margin=0, stylesheets=sheets(_LOOK), **params)
        self._state, self._on_file, self._most, self._advice = state, on_file, most, advice
        self._name, self._size, self._held = "", 0, bytearray()

    def _handle_msg(self, data) -> None:
        """The name and size of a file, or its next part."""
        import base64

        if "size" in data:
            self._name, self._size, self._held = str(data["name"]), int(data["size"]), bytearray()
            if not 0 < self._size <= self._most:
                self._state.message = (
                    f"Got a file of {self._size:,} bytes, need 1 to {self._most:,}; {self._advice}."
                )
                self._size = 0
        else:
            self._held += base64.b64decode(data["part"])
        if not 0 < self._size > len(self._held):  # refused, whole, or more than was said
            self._send_msg({"next": None})
            whole, self._held = bytes(self._held), bytearray()
            if self._size == len(whole) > 0:
                self._on_file(self._name, whole)
            self._size = 0
            return
        self._send_msg({"next": len(self._held)})
