// Says what became of the page's websocket. It stands in the head of the page and needs nothing of it: where the server
// refuses the socket, no part of the dashboard ever comes.
(() => {
  const FIRST_LOOK_MS = 1500, LONGEST_MS = 60000;
  // A file that every such server has, also to those who are not logged in; a page would start a session with each look.
  const PROBE = "static/js/bokeh.min.js";
  let line = null, leaving = false, looking = false;

  const say = (text) => {
    hide();
    line = document.createElement("div");
    line.setAttribute("role", "alert");
    line.className = "connection-line";
    // In the flow of the page, at its top: it moves the page down and covers nothing.
    line.style.cssText = "position: sticky; top: 0; z-index: 30; display: flex; gap: 12px; align-items: baseline; " +
      "padding: 9px 18px; font: 13px/1.5 var(--font, sans-serif); background: var(--warn-bg, #fff3df); " +
      "color: var(--warn, #8a4b00); border-bottom: 1px solid var(--warn-line, #f0cf98);";
    const words = document.createElement("span");
    words.textContent = text;
    words.style.flex = "1";
    line.append(words, button("Reload", "", () => location.reload()), button("×", "Close this message", hide));
    document.body.prepend(line);
  };
  const button = (text, name, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    if (name) made.setAttribute("aria-label", name);
    made.style.cssText = "font: inherit; color: inherit; background: none; border: 1px solid currentColor; " +
      "border-radius: 6px; padding: 1px 9px; cursor: pointer;";
    made.addEventListener("click", act);
    return made;
  };
  const hide = () => { if (line !== null) { line.remove(); line = null; } };

  const answers = () => fetch(PROBE, { method: "HEAD", cache: "no-store" }).then((got) => got.ok, () => false);
  // Pages that lose their socket again and again (a proxy that cuts it) reload ever more rarely.
  const waitMs = () => {
    let past = [];
    try { past = JSON.parse(sessionStorage.getItem("fluxlens-reloads")) || []; } catch {}
    const recent = past.filter((at) => Date.now() - at < 5 * LONGEST_MS).length;
    return Math.min(FIRST_LOOK_MS * 2 ** recent, LONGEST_MS);
  };
  const reload = () => {
    try {
      const past = JSON.parse(sessionStorage.getItem("fluxlens-reloads")) || [];
      sessionStorage.setItem("fluxlens-reloads", JSON.stringify([...past, Date.now()].slice(-10)));
    } catch {}
    location.reload();
  };
  const lost = (why = "The connection to the server is lost.") => {
    if (looking) return;
    looking = true;
    say(`${why} This view is loaded again as soon as the server answers.`);
    const look = async (ms) => {
      if (await answers()) reload();
      else setTimeout(look, Math.min(1.3 * ms, LONGEST_MS), Math.min(1.3 * ms, LONGEST_MS));
    };
    const first = waitMs();
    setTimeout(look, first, first);
  };
  const refused = async () => {
    if (!(await answers())) { lost(); return; }
    say(`The server refused this page's connection from ${location.host}. ` +
      `Start it with --allow-origin ${location.host} (behind a proxy, which must let websockets through, too).`);
  };

  // Bokeh's server opens the socket of a page that comes too late, and closes it without a word.
  const isExpired = (token) => {
    try {
      const payload = JSON.parse(atob(token.split(".")[0].replaceAll("-", "+").replaceAll("_", "/")));
      return payload.session_expiry <= Date.now() / 1000;
    } catch { return false; }
  };

  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...args) {
      super(...args);
      let opened = false, answered = false;
      this.addEventListener("open", () => { opened = true; });
      this.addEventListener("message", () => { answered = true; }, { once: true });
      this.addEventListener("close", () => {
        if (leaving) return;
        if (!opened) refused();
        else if (!answered && isExpired(args[1]?.[1] ?? "")) lost("This page took too long to load.");
        else lost();
      });
    }
  };
  // Bokeh drops a message that it cannot read. Nothing else says so, and what it should have changed stays as it was.
  const dropped = (error) => {
    if (/^reference .* isn't known$/.test(error?.message ?? "")) {
      say("An answer of the server could not be shown: this page may show something old. Reload it.");
    }
  };
  window.addEventListener("error", (event) => dropped(event.error));
  window.addEventListener("unhandledrejection", (event) => dropped(event.reason));
  // A page that is left closes its socket, too.
  window.addEventListener("pagehide", () => { leaving = true; });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  window.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
})();
