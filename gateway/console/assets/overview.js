// Draws the overview's charts from its own table, and renews the page's parts every few seconds: the server makes them, as for whoever has no
// JavaScript.
import uPlot from "/console/assets/uplot-1.6.32/uPlot.esm.js";

// At least so long between two looks, and so many times what the last one took, so that a busy ledger is looked at less often.
const RENEW_EVERY_MS = 5_000;
const PAUSE_FACTOR = 20;

const charts = document.getElementById("charts");
const pulse = document.getElementById("pulse");
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The columns of the table, as numbers: times in seconds since 1970, and a null where there was nothing to measure. */
function series() {
  const number = (cell) => (/\d/.test(cell.textContent) ? Number(cell.textContent.replace(/[^\d.]/g, "")) : null);
  const rows = [...document.querySelectorAll("#series tbody tr")];
  const column = (place) => rows.map((row) => number(row.cells[place]));
  const seconds = Number(charts.dataset.seconds);
  const rate = (place) => column(place).map((count) => count / seconds);
  const names = [...document.querySelectorAll("#series thead th")].map((cell) => cell.textContent);
  const at = rows.map((row) => Number(row.dataset.at));
  return { names, at, outcomes: [rate(1), rate(2), rate(3)], success: [column(4)], latency: [column(5), column(6), column(7)] };
}

function options(kind, names, box) {
  const line = (label, stroke, extra = {}) => ({ label, stroke: colour(stroke), width: 1.75, points: { show: false }, spanGaps: false, ...extra });
  const points = { show: true, size: 4, fill: colour("surface") };
  const shown = (digits) => (_, value) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  const lines = {
    outcomes: [
      line(names[1], "chart-good", { fill: `${colour("chart-good")}22`, value: shown(1) }),
      line(names[2], "chart-bad", { value: shown(1) }),
      line(names[3], "chart-open", { dash: [5, 4], value: shown(1) }),
    ],
    // A single interval with payments between two without is a point, since it has no neighbour to be joined with.
    success: [line(names[4], "chart-good", { points, value: shown(2) })],
    latency: [
      line("p50", "chart-good", { points, value: shown(1) }),
      line("p90", "chart-open", { points, dash: [5, 4], value: shown(1) }),
      line("p99", "chart-bad", { points, value: shown(1) }),
    ],
  }[kind];
  const axis = { stroke: colour("quiet"), font: "12px system-ui, sans-serif", grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  // A rate is looked at from the ten below its lowest, so that 99 can be told from 97.
  const rate = (_, min) => [Math.max(0, Math.floor((min ?? 100) / 10 - 0.5) * 10), 101];
  const range = kind === "success" ? rate : (_, __, max) => [0, Math.max(max * 1.1, 1)];
  return {
    width: box.clientWidth,
    height: 162,
    tzDate: (at) => uPlot.tzDate(new Date(at * 1_000), "Etc/UTC"),
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range } },
    axes: [{ ...axis, size: 28, space: 70, values: (_, ticks) => ticks.map((at) => new Date(at * 1_000).toISOString().slice(11, 16)) }, { ...axis, size: 46 }],
    series: [{ value: (_, at) => (at ? new Date(at * 1_000).toISOString().slice(11, 19) : "") }, ...lines],
  };
}

let drawn = [];
function draw(anew) {
  const { names, at, ...columns } = series();
  if (anew) {
    drawn.forEach(({ plot }) => plot.destroy());
    drawn = [...charts.querySelectorAll("[data-chart]")].map((box) => {
      const kind = box.dataset.chart;
      return { kind, box, plot: new uPlot(options(kind, names, box), [at, ...columns[kind]], box) };
    });
  } else {
    drawn.forEach(({ kind, plot }) => plot.setData([at, ...columns[kind]]));
  }
}

/** Takes over what the server shows now. What somebody has opened stays open, and where the keyboard is, it stays. */
async function renew() {
  const answer = await fetch("/console", { headers: { accept: "text/html" }, redirect: "manual" });
  if (answer.type === "opaqueredirect") {
    location.assign("/console/sign-in?why=over");
    return;
  }
  if (!answer.ok) throw new Error(String(answer.status));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const interval = fresh.getElementById("charts").dataset.seconds;
  const anew = interval !== charts.dataset.seconds;
  charts.dataset.seconds = interval;
  document.getElementById("window").textContent = fresh.getElementById("window").textContent;
  for (const part of document.querySelectorAll("[data-renewed]")) {
    if (part.contains(document.activeElement) && document.activeElement.tagName === "A") continue;
    const replacement = document.adoptNode(fresh.getElementById(part.id));
    if (part.open) replacement.open = true;
    const focused = part.contains(document.activeElement) ? document.activeElement.tagName : null;
    part.replaceWith(replacement);
    if (focused) replacement.querySelector(focused.toLowerCase())?.focus({ preventScroll: true });
  }
  draw(anew);
}

async function keepRenewing() {
  let pause = RENEW_EVERY_MS;
  for (;;) {
    await new Promise((done) => setTimeout(done, pause));
    if (document.hidden) continue;
    const began = performance.now();
    try {
      await renew();
      pulse.textContent = `· ${pulse.dataset.live}`;
    } catch {
      pulse.textContent = `· ${pulse.dataset.stale}`;
    }
    pause = Math.max(RENEW_EVERY_MS, (performance.now() - began) * PAUSE_FACTOR);
  }
}

draw(true);
dark.addEventListener("change", () => draw(true));
new ResizeObserver(() => drawn.forEach(({ box, plot }) => plot.setSize({ width: box.clientWidth, height: 162 }))).observe(charts);
keepRenewing();
