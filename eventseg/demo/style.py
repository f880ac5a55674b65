"""The style sheet of the demo's page."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6470; --paper: #fbfaf7; --card: #fff;
  --line: #e2dfd8; --on: #dc2626; --off: #2563eb; --accent: #0f766e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --soft: #a3a9b2; --paper: #14171b;
  --card: #1d2126; --line: #33383f; --on: #f87171; --off: #60a5fa; --accent: #5eead4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 0 16px 64px; }
header { max-width: 1120px; margin: 0 auto; padding: 48px 16px 8px; }
h1 { font-size: clamp(1.7rem, 5vw, 2.7rem); line-height: 1.15; margin: 0 0 .4em;
  letter-spacing: -.02em; }
h2 { font-size: 1.6rem; margin: 56px 0 4px; letter-spacing: -.01em; }
h3 { font-size: 1.05rem; margin: 0 0 4px; }
p { max-width: 70ch; margin: .4em 0 1em; }
.soft, figcaption, .axis { color: var(--soft); }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: 8px; margin: 20px 0 0; }
nav a { border: 1px solid var(--line); border-radius: 999px; padding: 4px 14px;
  background: var(--card); text-decoration: none; }
img { display: block; width: 100%; height: auto; border-radius: 6px; }
.pixels img { image-rendering: pixelated; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .84rem; line-height: 1.35; padding: 5px 2px 0; }
figcaption b { color: var(--ink); font-weight: 600; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px;
  margin: 16px 0; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 28px; margin: 8px 0 16px; padding: 0;
  list-style: none; }
.facts b { font-size: 1.15rem; display: block; line-height: 1.2; }
.facts li { font-size: .84rem; color: var(--soft); }
.facts b { color: var(--ink); }
.four { display: grid; grid-template-columns: repeat(4, 1fr); gap: 12px; margin-top: 10px; }
.six { display: none; grid-template-columns: repeat(3, 1fr); gap: 12px; }
@media (max-width: 760px) { .four { grid-template-columns: repeat(2, 1fr); }
  .six { gap: 8px; } .card { padding: 12px; } figcaption { font-size: .76rem; } }
@media (max-width: 440px) { .six { grid-template-columns: repeat(2, 1fr); grid-auto-flow: column;
  grid-template-rows: repeat(3, auto); } }
.rate { position: relative; height: 130px; border-bottom: 1px solid var(--line); margin-top: 22px; }
.rate svg { width: 100%; height: 100%; display: block; }
.rate .mark { position: absolute; top: -20px; bottom: 0; border-left: 1px dashed var(--soft);
  font-size: .72rem; color: var(--soft); padding-left: 3px; line-height: 1; }
.on { fill: var(--on); } .off { fill: var(--off); }
.axis { display: flex; gap: 10px; justify-content: space-between; font-size: .78rem; }
.axis span:first-child, .axis span:last-child { white-space: nowrap; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 12px; font-size: .8rem; margin: 8px 0 0;
  padding: 0; list-style: none; }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 5px;
  vertical-align: -1px; border: 1px solid #8888; }
.tabs { margin-top: 16px; border-top: 1px solid var(--line); padding-top: 12px; }
.tabs > input { position: absolute; opacity: 0; }
.tabs > label { display: inline-block; padding: 3px 14px; border: 1px solid var(--line);
  border-radius: 999px; cursor: pointer; font-size: .88rem; margin: 0 6px 10px 0; }
.tabs > input:checked + label { background: var(--accent); color: var(--card);
  border-color: var(--accent); }
.tabs > input:focus-visible + label { outline: 2px solid var(--accent); outline-offset: 2px; }
.tabs > input:nth-of-type(1):checked ~ .pane:nth-of-type(1) .six,
.tabs > input:nth-of-type(2):checked ~ .pane:nth-of-type(2) .six,
.tabs > input:nth-of-type(3):checked ~ .pane:nth-of-type(3) .six { display: grid; }
.pane > p { display: none; font-size: .9rem; }
.tabs > input:nth-of-type(1):checked ~ .pane:nth-of-type(1) > p,
.tabs > input:nth-of-type(2):checked ~ .pane:nth-of-type(2) > p,
.tabs > input:nth-of-type(3):checked ~ .pane:nth-of-type(3) > p { display: block; }
.bar { display: flex; align-items: center; gap: 6px; font-size: .74rem; color: var(--soft);
  padding-top: 3px; }
.bar img { height: 7px; flex: 1; width: 0; min-width: 0; image-rendering: auto; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px;
  overflow-x: auto; font-size: .86rem; line-height: 1.6; }
dt { font-weight: 600; margin-top: .8em; } dd { margin: 0; max-width: 70ch; color: var(--soft); }
"""
