// The help panel: a modal dialog, so that the page behind it rests and Esc closes it.

export function render({ model }) {
  const close = make("button", { type: "button", class: "close", onclick: () => dialog.close() }, "Close");
  const text = make("div", { class: "text" });
  text.innerHTML = model.text;
  const dialog = make("dialog", { "aria-labelledby": "help-title" }, close, text);
  dialog.addEventListener("keydown", (event) => { if (event.key !== "Escape") event.stopPropagation(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  const button = make("button", { type: "button", "aria-haspopup": "dialog", onclick: () => dialog.showModal() }, "Help");
  return make("div", {}, button, dialog);
}
