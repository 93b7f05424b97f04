// Buttons that save a chart: its picture is made here, its numbers come from the server.

const TITLE_PX = 30;

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** The picture of a figure with its title above, on the page's colour: a figure itself is transparent. */
async function paintChart(view, title) {
  const bitmap = await createImageBitmap(await view.export().to_blob());
  const scale = bitmap.width / view.bbox.width, top = Math.round(TITLE_PX * scale);
  const canvas = document.createElement("canvas"), style = getComputedStyle(document.documentElement);
  canvas.width = bitmap.width;
  canvas.height = bitmap.height + top;
  const paint = canvas.getContext("2d");
  paint.fillStyle = style.getPropertyValue("--card").trim() || "#ffffff";
  paint.fillRect(0, 0, canvas.width, canvas.height);
  paint.fillStyle = style.getPropertyValue("--ink").trim() || "#1a2430";
  paint.font = `600 ${Math.round(13 * scale)}px sans-serif`;
  paint.textBaseline = "middle";
  paint.fillText(title, 10 * scale, top / 2, canvas.width - 20 * scale);
  paint.drawImage(bitmap, 0, top);
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}

function saveCharts(model, on, figureOf) {
  model.on("msg:custom", (event) => {
    const { name, text } = event.data || event;
    if (name) download(new Blob([text], { type: "text/csv" }), name);
  });
  on("click", async (event) => {
    const button = event.composedPath().find((node) => node.dataset?.save);
    if (!button) return;
    const { save, chart } = button.dataset;
    if (save === "csv") { model.send_msg({ table: chart }); return; }
    const view = figureOf(chart);
    if (!view) return;
    const title = button.closest(".head")?.querySelector("b")?.textContent ?? "";
    download(await paintChart(view, title), `fluxlens_${chart.replace("/", "_")}.png`);
  });
}
