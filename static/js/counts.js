// The chart above the events: how many match, over time. Drawn anew when htmx changes the filter.
const charts = new Map();

function shown(seconds, format) {
  return format.format(new Date(seconds * 1000));
}

async function draw(figure) {
  const answer = await fetch(figure.dataset.counts, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const found = await answer.json();
  // The filter's time has no events: there is nothing to draw.
  figure.hidden = !found.starts.length;
  if (figure.hidden) return;
  figure.querySelector("[data-capped]").hidden = !found.capped;
  const style = getComputedStyle(figure);
  const ink = style.color;
  const grid = style.borderTopColor;
  const bar = getComputedStyle(document.querySelector("a.current") ?? figure).color;
  const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
  charts.get(figure)?.destroy();
  const language = document.documentElement.lang;
  const date = { month: "2-digit", day: "2-digit" };
  const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const short = new Intl.DateTimeFormat(language, found.width_s < 86400 ? clock : date);
  const long = new Intl.DateTimeFormat(language, { year: "numeric", ...date, ...clock });
  const most = Math.max(1, ...found.counts);
  const last = found.starts[found.starts.length - 1] + found.width_s;
  const chart = new uPlot({
    width: figure.clientWidth - 16,
    height: 120,
    cursor: { y: false },
    scales: { x: { range: [found.starts[0] - found.width_s / 2, last] }, y: { range: [0, most * 1.1] } },
    axes: [{ ...axis, values: (_chart, splits) => splits.map((t) => shown(t, short)) }, { ...axis, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] }],
    series: [
      { label: figure.dataset.timeLabel, value: (_chart, t) => (t == null ? "–" : shown(t, long)) },
      { label: figure.dataset.label, stroke: bar, fill: bar, paths: uPlot.paths.bars({ size: [0.8, 40] }), points: { show: false } },
    ],
  }, [found.starts, found.counts], figure);
  charts.set(figure, chart);
}

function start() {
  for (const figure of document.querySelectorAll("[data-counts]")) if (!charts.has(figure)) draw(figure);
}

addEventListener("resize", () => {
  for (const [figure, chart] of charts) {
    if (figure.isConnected) chart.setSize({ width: figure.clientWidth - 16, height: 120 });
    else charts.delete(figure);
  }
});
document.body.addEventListener("htmx:afterSettle", start);
start();
