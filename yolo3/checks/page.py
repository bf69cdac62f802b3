"""The frame and the style of a self-contained HTML page."""

import re
from html import escape

STYLE = """
:root { --paper: #fbfbf9; --card: #ffffff; --ink: #22262b; --soft: #667078; --line: #dfe2e4;
  --good: #1a7f4b; --look: #b4500b; --note: #4c6a92; --train: #0072b2; --val: #d55e00;
  --mat: #eef0f1; }
@media (prefers-color-scheme: dark) { :root { --paper: #16191d; --card: #1f2429; --ink: #e4e7ea;
  --soft: #99a3ab; --line: #343b42; --good: #57c98c; --look: #f0954f; --note: #90b2de;
  --train: #56a8e0; --val: #f08c4a; --mat: #2a3036; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 36px 24px 64px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 6px; }
h2 { font-size: 20px; margin: 44px 0 12px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 16px; margin: 0 0 4px; }
p { margin: 4px 0 10px; max-width: 76ch; }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: 3px; }
code { font: 13px/1.4 ui-monospace, "Liberation Mono", Menlo, monospace; }
.soft { color: var(--soft); }
.verdict { font-size: 17px; font-weight: 600; margin: 14px 0 20px; }
.good { color: var(--good); } .look { color: var(--look); } .note { color: var(--note); }
.contents { color: var(--soft); max-width: none; margin: 0 0 16px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px 14px; }
.tile b { display: block; font-size: 23px; font-weight: 600; line-height: 1.25; }
.tile span { color: var(--soft); font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-size: 13px; font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; padding-right: 16px; width: 1%; white-space: nowrap; }
td.bars { width: 46%; }
.bar { height: 7px; border-radius: 2px; margin: 3px 0; }
.train { background: var(--train); } .val { background: var(--val); }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 28px;
  align-items: start; }
svg.plot { width: 100%; height: auto; display: block; font-size: 11px; }
svg.plot text { fill: var(--soft); }
.finding { margin: 30px 0 0; }
.chip { font-size: 12px; font-weight: 600; border: 1px solid currentColor; border-radius: 9px;
  padding: 0 8px; margin-left: 6px; vertical-align: 1px; white-space: nowrap; }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px;
  margin-top: 10px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; }
.pair { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 2px;
  background: var(--mat); }
svg.shot { display: block; width: 100%; height: 220px; background: var(--mat); }
figcaption { padding: 8px 12px 10px; font-size: 13px; line-height: 1.4; color: var(--soft);
  overflow-wrap: anywhere; }
.class h3 span { font-weight: 400; font-size: 13px; margin-left: 4px; }
.class { margin-top: 18px; }
.grid { display: grid; gap: 10px; margin-top: 8px;
  grid-template-columns: repeat(auto-fill, minmax(min(var(--column), 46%), 1fr)); }
.grid svg { display: block; width: 100%; height: auto; aspect-ratio: var(--ratio, 4 / 3); }
.grid figcaption { padding: 3px 8px 4px; font-size: 12px; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
svg.map path { fill: var(--train); }
svg.shot text { fill: #003f66; stroke: #ffffff; stroke-width: 0.28em; paint-order: stroke;
  stroke-linejoin: round; font-weight: 600; }
.wide { grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); }
td > .chip { margin-left: 0; }
img.shot { display: block; width: 100%; height: 240px; object-fit: contain;
  background: var(--mat); }
svg.span { width: 200px; height: 22px; display: block; }
.beneath { display: block; font-size: 12px; color: var(--soft); }
svg.shot path, svg.shot circle { fill: none; vector-effect: non-scaling-stroke; }
.casing { stroke: #ffffff; stroke-opacity: 0.75; stroke-width: 4.5; }
.other { stroke: #0072b2; stroke-width: 2; }
.mark { stroke: #d55e00; stroke-width: 2.5; }
details { margin-top: 10px; font-size: 13px; } summary { cursor: pointer; color: var(--soft); }
details li { overflow-wrap: anywhere; }
@media print { figure, .finding { break-inside: avoid; } }
"""


def page(title: str, body: str) -> str:
    """Put a body into a whole page that needs nothing else."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def heading(name: str, title: str) -> str:
    """Head a section that `contents` links to."""
    return f"<h2 id='{name}'>{escape(title)}</h2>"


def contents(body: str) -> str:
    """Link to the sections of a body."""
    found = re.findall(r"<h2 id='(\w+)'>(.+?)</h2>", body)
    links = (f"<a href='#{name}'>{title}</a>" for name, title in found)
    return f"<p class='contents'>{' · '.join(links)}</p>"
