"""How the report looks, and the little that moves in it."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f5f5f4; --ink: #1b1b1b; --muted: #5a5a5a;
  --rule: #d6d6d4; --edge: rgba(0, 0, 0, .45);
  --ours: #0072b2; --other: #a84a00;
  --good: #2b7a36; --doubtful: #a86500; --bad: #b3261e;
  --side: 2.9rem;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #17191b; --panel: #202325; --ink: #e8e8e6; --muted: #a9abac;
    --rule: #3b3f42; --edge: rgba(255, 255, 255, .45);
    --ours: #56b4e9; --other: #e69f00;
    --good: #7cc486; --doubtful: #f0b429; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans",
    Arial, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
main { max-width: 1120px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.55rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 {
  font-size: 1.1rem; margin: 2.6rem 0 .8rem; padding-bottom: .3rem;
  border-bottom: 1px solid var(--rule);
}
h3 { font-size: 1rem; margin: 0; }
p { margin: .4rem 0; max-width: 46rem; }
.under, .note, .when, figcaption, .empty, .readout, .legend, .zoom {
  color: var(--muted);
}
.note, .when, figcaption, .readout, .legend, .zoom { font-size: .87rem; }
figure { margin: 0; }
figcaption { margin-top: .5rem; max-width: 46rem; }
svg { display: block; }

.verdict {
  margin-top: 1.2rem; padding: .9rem 1.1rem; background: var(--panel);
  border-left: 4px solid var(--level);
}
.verdict > p { margin: 0; font-size: 1.05rem; max-width: 56rem; }
.verdict b { color: var(--level); }
.verdict.good { --level: var(--good); }
.verdict.doubtful { --level: var(--doubtful); }
.verdict.bad { --level: var(--bad); }
.verdict dl {
  display: grid; gap: .3rem 1.1rem; margin: .8rem 0 0;
  grid-template-columns: minmax(8rem, auto) auto 1fr;
}
.verdict dt, .verdict dd { margin: 0; }
.verdict dd.value { font-weight: 600; text-align: right; }
.verdict dd.words { color: var(--muted); }

table { border-collapse: collapse; width: 100%; }
th, td {
  text-align: left; vertical-align: baseline; padding: .32rem 1rem .32rem 0;
  border-bottom: 1px solid var(--rule); font-weight: 400;
}
thead th { color: var(--muted); font-size: .87rem; }
.facts th:first-child { width: 13rem; }
.facts td:nth-child(2) { width: 14rem; font-weight: 600; }
.facts td:nth-child(3) { color: var(--muted); }
.numbers { width: auto; min-width: min(100%, 34rem); }
.numbers td, .numbers thead th:not(:first-child) { text-align: right; }
.numbers td:last-child, .numbers th:last-child { padding-right: 0; }
.columns th:first-child { width: 16rem; }
.columns tbody th, code {
  font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas,
    "Liberation Mono", monospace;
  font-size: .9em;
}

.controls {
  display: flex; flex-wrap: wrap; gap: .3rem 1.5rem;
  justify-content: space-between; margin-bottom: .5rem;
}
.legend, .zoom { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; }
.legend span { display: inline-flex; align-items: center; gap: .4rem; }
.zoom { gap: .3rem; align-items: center; }
.key { width: 28px; height: 14px; --c: #56b4e9; }
button {
  font: inherit; color: inherit; background: none; cursor: pointer;
  border: 1px solid var(--rule); border-radius: 3px; padding: 0 .5rem;
}
button[aria-pressed="true"] { color: var(--ink); border-color: var(--muted); }
.scroll { max-height: 34rem; overflow: auto; overscroll-behavior-x: contain; }
.scroll:focus-visible, button:focus-visible {
  outline: 2px solid var(--ours); outline-offset: 2px;
}
.lanes {
  display: flex;
  width: calc(var(--side) + (100% - var(--side)) * var(--zoom, 1));
}
.labels {
  position: sticky; left: 0; z-index: 2; flex: 0 0 var(--side);
  background: var(--paper); font-size: 11px; line-height: 1;
  color: var(--muted);
}
.labels > div:first-child {
  position: relative; border-right: 1px solid var(--rule);
}
.corner {
  position: sticky; bottom: 0; height: 2.4rem; background: var(--paper);
}
.labels span {
  position: absolute; right: .5rem; transform: translateY(-50%);
}
.plot { position: relative; flex: 1 1 auto; min-width: 0; }
.wide { width: 100%; }
.grid { stroke: var(--rule); stroke-width: 1; fill: none; }
.wide path, .key path { vector-effect: non-scaling-stroke; }
.edge { stroke: var(--edge); fill: none; }
.span, .hatch { stroke: var(--c); fill: none; }
.sample { stroke-width: 8; }
.cut { stroke: var(--paper); stroke-width: 1.4; opacity: .85; fill: none; }
.veil { stroke: var(--paper); fill: none; opacity: .72; }
.hatch { stroke-dasharray: 2 2; }
.faint { opacity: .28; }
.doubt {
  stroke: var(--ink); stroke-width: 2; stroke-linecap: square; fill: none;
}
.axis {
  position: sticky; bottom: 0; z-index: 1; height: 2.4rem; font-size: 11px;
  line-height: 1.25; background: var(--paper);
  border-top: 1px solid var(--rule); overflow: hidden;
}
.z { display: none; }
[data-at="1"] .z1, [data-at="4"] .z4, [data-at="16"] .z16 { display: block; }
.tick {
  position: absolute; top: .3rem; transform: translateX(-50%);
  text-align: center; white-space: nowrap;
}
.tick.start { transform: none; text-align: left; }
.tick.end { transform: translateX(-100%); text-align: right; }
.tick small { display: block; font-size: 11px; color: var(--muted); }
.cursor {
  position: absolute; top: 0; bottom: 0; width: 1px; display: none;
  background: var(--ink); opacity: .6; pointer-events: none;
}
.readout { margin: .3rem 0 0; min-height: 1.4em; }
.readout + figcaption { margin-top: .1rem; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.line.ours { stroke: var(--ours); }
.line.other { stroke: var(--other); stroke-width: 1.1; }
.band { opacity: .28; stroke: none; }
.band.ours { fill: var(--ours); }
.band.other { fill: var(--other); }

.cards {
  list-style: none; margin: 1rem 0 0; padding: 0; display: grid;
  gap: 1.6rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr));
}
.card { border-top: 1px solid var(--rule); padding-top: .6rem; }
.card p { margin: .1rem 0; }
.rank { color: var(--muted); font-weight: 400; margin-right: .35rem; }
.chips { margin-left: .7rem; font-weight: 400; font-size: .87rem; }
.chip { margin-right: .6rem; white-space: nowrap; }
.chip i {
  display: inline-block; width: .75em; height: .75em; margin-right: .3em;
  background: var(--c); border: 1px solid var(--edge);
}
.thumbs {
  display: grid; gap: .5rem; margin-top: .5rem;
  grid-template-columns: repeat(3, minmax(0, 1fr));
}
.thumb svg { width: 100%; height: auto; background: var(--panel); }
.thumb figcaption { margin-top: .2rem; font-size: .8rem; line-height: 1.3; }
.box {
  fill: none; stroke: var(--c); stroke-width: 1; opacity: .8;
  vector-effect: non-scaling-stroke;
}
.box.back { stroke: rgba(0, 0, 0, .65); stroke-width: 3.5; opacity: 1; }
.box.named { stroke-width: 1.8; opacity: 1; }
.number, .start text {
  fill: var(--c); stroke: rgba(0, 0, 0, .8); paint-order: stroke;
  font-weight: 700; stroke-linejoin: round;
}

.panels {
  display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr));
}
.panels.one { max-width: 46rem; }
.panels h3 { margin-bottom: .4rem; }
.paths { width: 100%; height: auto; background: var(--panel); }
.wash { fill: #fff; opacity: .28; }
.casing, .tracks { fill: none; stroke-linejoin: round; stroke-linecap: round; }
.casing { stroke: rgba(0, 0, 0, .55); }
.tracks g { stroke: var(--c); }
.tracks g { stroke-width: 1.7; }
.casing { stroke-width: 3; }
.dashes { stroke-dasharray: 2 4; vector-effect: non-scaling-stroke; }
.start circle {
  fill: var(--c); stroke: rgba(0, 0, 0, .8); stroke-width: 1.2;
  vector-effect: non-scaling-stroke;
}
.crowd .casing { display: none; }
.crowd .tracks g { stroke-width: .9; }
.lit .tracks g, .lit .start { opacity: .12; }
.lit .tracks g.on, .lit .start.on { opacity: 1; }
.lit .casing { opacity: .1; }
.lit .tracks g.on { stroke-width: 3; }

@media (max-width: 34rem) {
  main { padding: 1.2rem .9rem 3rem; }
  .z1 .tick:nth-child(even) { display: none; }
  .verdict dl { grid-template-columns: 1fr auto; }
  .verdict dd.words { grid-column: 1 / -1; margin-bottom: .3rem; }
  .facts thead, .columns thead { display: none; }
  .facts tr, .columns tr {
    display: block; border-bottom: 1px solid var(--rule); padding: .35rem 0;
  }
  .facts th, .facts td, .columns th, .columns td {
    display: block; border: 0; padding: 0; width: auto !important;
  }
  .facts tbody th { color: var(--muted); font-size: .87rem; }
  .numbers th, .numbers td { padding-right: .6rem; }
}
@media print {
  :root {
    --paper: #fff; --panel: #f5f5f4; --ink: #000; --muted: #444;
    --rule: #ccc; --edge: rgba(0, 0, 0, .45);
    --ours: #0072b2; --other: #a84a00;
    --good: #2b7a36; --doubtful: #a86500; --bad: #b3261e;
  }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .scroll { max-height: none; overflow: visible; }
  .lanes { width: 100%; }
  .lanes .z { display: none; }
  .lanes .z1 { display: block; }
  .labels, .axis, .corner { position: relative; }
  .zoom, .readout, .cursor { display: none; }
  .card, .verdict, tr, .panels figure { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""

# What the pointer is on is read from the drawing itself: the page holds the
# spans once.
SCRIPT = """
'use strict';
const clock = (s) => {
  if (s < 60) return s.toFixed(2) + ' s';
  const whole = Math.floor(s), pad = (n) => String(n).padStart(2, '0');
  const minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600);
  const tail = pad(whole % 60) + (s % 1).toFixed(1).slice(1);
  return hours ? `${hours}:${pad(minutes)}:${tail}` : `${minutes}:${tail}`;
};
const light = (id) => document.querySelectorAll('.paths').forEach((svg) => {
  svg.querySelectorAll('.on').forEach((part) => part.classList.remove('on'));
  const parts = id ? svg.querySelectorAll(`[data-id="${id}"]`) : [];
  svg.classList.toggle('lit', parts.length > 0);
  parts.forEach((part) => part.classList.add('on'));
});
const state = (kinds) => {
  const words = kinds.has('hatch') ? 'filled in' :
    kinds.has('span') && !kinds.has('cut') ? 'found' : 'no place';
  return kinds.has('doubt') ? words + ', doubtful' : words;
};
const readTracks = (plot, event, top) => {
  const row = Math.floor((event.clientY - top) / plot.dataset.height);
  const id = plot.ids[row];
  if (id === undefined) return light(), '';
  // The whole height of the row counts, not only its bar and its mark.
  const kinds = new Set();
  for (let y = 0.5; y < plot.dataset.height; y += 1) {
    const level = top + row * plot.dataset.height + y;
    document.elementsFromPoint(event.clientX, level)
      .forEach((part) => part.classList.forEach((kind) => kinds.add(kind)));
  }
  light(id);
  return ` · track ${id}: ${state(kinds)}`;
};
const readCounts = (plot, frame) => {
  let bin = plot.edges.findIndex((edge) => edge > frame) - 1;
  if (bin < 0) bin = plot.edges.length - 2;
  return ['ours', 'other'].filter((kind) => plot[kind]).map((kind) =>
    ` · ${plot.dataset[kind + 'Name']}: ${plot[kind][bin]}`).join('');
};
document.querySelectorAll('.plot').forEach((plot) => {
  const figure = plot.closest('figure');
  const cursor = plot.querySelector('.cursor');
  const readout = figure.querySelector('.readout');
  const rate = Number(plot.dataset.rate);
  for (const name of ['ids', 'edges', 'ours', 'other']) {
    if (plot.dataset[name]) plot[name] = plot.dataset[name].split(',');
  }
  if (plot.edges) plot.edges = plot.edges.map(Number);
  const leave = () => {
    cursor.style.display = 'none';
    readout.textContent = '\\u00a0';
    light();
  };
  plot.addEventListener('pointermove', (event) => {
    const box = plot.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const frame = Math.floor(share * plot.dataset.frames);
    if (frame < 0 || frame >= plot.dataset.frames) return leave();
    cursor.style.display = 'block';
    cursor.style.left = `${event.clientX - box.left}px`;
    const time = rate ? ` · ${clock(frame / rate)}` : '';
    const words = plot.dataset.kind === 'tracks' ?
      readTracks(plot, event, box.top) : readCounts(plot, frame);
    readout.textContent = `frame ${frame.toLocaleString('en')}${time}${words}`;
  });
  plot.addEventListener('pointerleave', leave);
});
document.querySelectorAll('[data-zoom]').forEach((button) => {
  button.addEventListener('click', () => {
    const figure = button.closest('figure');
    const scroll = figure.querySelector('.scroll');
    const middle = (scroll.scrollLeft + scroll.clientWidth / 2) /
      scroll.scrollWidth;
    const lanes = scroll.querySelector('.lanes');
    lanes.style.setProperty('--zoom', button.dataset.zoom);
    lanes.dataset.at = button.dataset.zoom;
    scroll.scrollLeft = middle * scroll.scrollWidth - scroll.clientWidth / 2;
    figure.querySelectorAll('[data-zoom]').forEach((other) =>
      other.setAttribute('aria-pressed', String(other === button)));
  });
});
"""
