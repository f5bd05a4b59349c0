"""One page with every executed notebook, which needs nothing from anywhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from nbconvert.filters import ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from handson.course.run.console import failure, proven
from handson.course.run.result import Record, own_cells, read_notebook
from handson.i18n import _
from handson.ui.view import STYLE

STYLE_ELEMENT = re.compile(r"<style\b.*?</style>", re.S)
SCRIPT_ELEMENT = re.compile(r"<script\b.*?</script>", re.S | re.I)
TONES = {"✔": "good", "✘": "bad"}
IMAGES = ("image/svg+xml", "image/png", "image/jpeg")

PAGE_STYLE = files(__package__).joinpath("report_page.css").read_text("utf-8")


def write_page(path: Path, records: Sequence[Record]) -> None:
    """Write the report of a run."""
    path.write_text(page(records), encoding="utf-8")


def page(records: Sequence[Record]) -> str:
    """Return the report of a run as an HTML document."""
    title = _("SMTP AUTH, step by step: report")
    contents = "".join(
        f'<li><a href="#{record.step.slug}">{escape(record.step.title)}</a> '
        f'<span class="{_tone(record)}">{escape(record.line)}</span></li>'
        for record in records
    )
    rows = "".join(
        f'<tr><td class="{TONES.get(mark, "quiet")}">{mark}</td>'
        f"<td>{slug}</td><td>{escape(sentence)}</td></tr>"
        for mark, slug, sentence in proven(records)
    )
    faults = "".join(
        f'<div class="fault">{escape(failure(record))}</div>' for record in records if record.fault
    )
    body = (
        f"<h1>{escape(title)}</h1>{faults}"
        f"<h2>{escape(_('What was proven'))}</h2><table>{rows}</table>"
        f"<h2>{escape(_('Contents'))}</h2><nav><ol>{contents}</ol></nav>"
        + "".join(_section(record) for record in records)
    )
    body = _once_each(SCRIPT_ELEMENT.sub("", body))
    # Links from notebook to notebook stay on the page.
    body = re.sub(r'href="(?:\./)?(\w+)\.ipynb"', r'href="#\1"', body)
    code_style = HtmlFormatter(style="default").get_style_defs(".highlight")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{PAGE_STYLE}{code_style}</style>{STYLE}</head><body>{body}</body></html>\n"
    )


def _tone(record: Record) -> str:
    return "good" if record.passed else "bad"


def _section(record: Record) -> str:
    if not record.notebook.is_file():
        return ""
    notebook = read_notebook(record.notebook)
    blamed = record.fault.cell if record.fault else 0
    cells = []
    for number, cell in enumerate(own_cells(notebook), start=1):
        mark = ' class="failed"' if number == blamed else ""
        cells.append(f"<div{mark}>{_cell(cell)}</div>")
    return f'<section id="{record.step.slug}">{"".join(cells)}</section>'


def _cell(cell: Mapping[str, Any]) -> str:
    if cell["cell_type"] == "markdown":
        renderer = IPythonRenderer(escape=False, attachments=cell.get("attachments", {}))
        return str(MarkdownWithMath(renderer=renderer).render(cell["source"]))
    if cell["cell_type"] != "code" or not cell["source"].strip():
        return ""
    source = highlight(cell["source"], PythonLexer(), HtmlFormatter())
    count = cell.get("execution_count") or " "
    outputs = "".join(f'<div class="out">{_output(output)}</div>' for output in cell["outputs"])
    return f'<div class="in" data-count="[{count}]">{source}</div>{outputs}'


def _output(output: Mapping[str, Any]) -> str:
    if output["output_type"] == "stream":
        return f"<pre>{_coloured(output['text'])}</pre>"
    if output["output_type"] == "error":
        text = "\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"
        return f"<pre>{_coloured(text)}</pre>"
    data = output["data"]
    if "text/html" in data and "application/vnd.jupyter.widget-view+json" not in data:
        return str(data["text/html"])
    for kind in IMAGES:
        if kind in data:
            if kind == "image/svg+xml":
                return str(data[kind])
            return f'<img src="data:{kind};base64,{data[kind].strip()}" alt="">'
    return f"<pre>{escape(str(data.get('text/plain', '')))}</pre>"


def _coloured(text: str) -> str:
    html: str = ansi2html(text)  # type: ignore[no-untyped-call]
    return html


def _once_each(html: str) -> str:
    """Keep each style sheet at its first place only: every output brings the same ones."""
    seen = {STYLE}

    def keep(found: re.Match[str]) -> str:
        if found[0] in seen:
            return ""
        seen.add(found[0])
        return found[0]

    return STYLE_ELEMENT.sub(keep, html)
