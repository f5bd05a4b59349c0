"""The style sheet of the matrix of who may relay."""

from __future__ import annotations

from handson.ui.view import style_sheet

SHEET = style_sheet("""
div.ho{--mx-red:#cf222e}
[data-jp-theme-light="false"] div.ho,.vscode-dark div.ho{--mx-red:#b62324}
div.ho table.mx{width:100%;max-width:58rem;table-layout:fixed;border-collapse:separate;
border-spacing:0;border-radius:8px;overflow:hidden}
div.ho table.mx th,div.ho table.mx td{padding:.32rem .55rem;border-right:1px solid var(--line);
line-height:1.35;vertical-align:middle}
div.ho table.mx th:last-child,div.ho table.mx td:last-child{border-right:0}
div.ho table.mx tr:last-child>td,div.ho table.mx th.from[data-last]{border-bottom:0}
div.ho table.mx thead th{text-align:center}
div.ho table.mx th.from{width:8.6rem;text-align:left}
div.ho table.mx th.login{width:7.4rem;text-align:left;font-weight:400}
div.ho table.mx th.who,div.ho table.mx th.how{vertical-align:middle}
div.ho table.mx th.how{font-weight:400;background:none}
div.ho table.mx th small{display:block;font-weight:400;color:var(--quiet);font-size:11.5px}
div.ho table.mx tr.top>th,div.ho table.mx tr.top>td{border-top:2px solid var(--line)}
div.ho table.mx td{text-align:center;color:var(--quiet);overflow-wrap:anywhere}
div.ho table.mx td.good{background:var(--good-bg);color:var(--good);font-weight:600}
div.ho table.mx td.warn{background:var(--warn-bg);color:var(--warn);font-weight:600}
div.ho table.mx td.bad{background:var(--mx-red);color:#fff;font-weight:700}
div.ho table.mx td.other{box-shadow:inset 0 0 0 2px var(--warn)}
div.ho table.mx td small{display:block;font-weight:400;font-size:11.5px}
div.ho table.mx td sup{font-weight:400;font-size:9.5px;margin-left:.15rem;opacity:.75}
div.ho .mx-keys{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:12px;
color:var(--quiet);margin:.2rem 0 .4rem}
div.ho .mx-keys span::before{content:"";display:inline-block;width:.8rem;height:.8rem;
box-sizing:border-box;border-radius:3px;margin-right:.35rem;vertical-align:-1px;
border:1px solid var(--line)}
div.ho .mx-keys .k-good::before{background:var(--good-bg);border-color:var(--good)}
div.ho .mx-keys .k-warn::before{background:var(--warn-bg);border-color:var(--warn)}
div.ho .mx-keys .k-bad::before{background:var(--mx-red);border-color:var(--mx-red)}
div.ho .mx-keys .k-other::before{border:2px solid var(--warn)}
div.ho details.mx-more{margin:.3rem 0;font-size:13px}
div.ho details.mx-more>summary{cursor:pointer;color:var(--info)}
div.ho details.mx-more ol{margin:.3rem 0 .3rem 1.6rem;padding:0}
div.ho table.mx-log td{font-size:12px;padding:.2rem .5rem}
div.ho table.mx-log td:nth-child(2){white-space:nowrap}
div.ho table.mx-log td code{background:none;padding:0;font-size:11.5px;overflow-wrap:anywhere}
""")
