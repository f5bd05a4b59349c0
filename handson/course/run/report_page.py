"""One page with every executed notebook, which needs nothing from anywhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from nbconvert import HTMLExporter
from nbformat import from_dict
from traitlets.config import Config

from handson.course.run.console import failure, proven
from handson.course.run.result import Record, is_code, own_cells, read_notebook
from handson.i18n import _
from handson.ui.view import Note, Table

Cell = Mapping[str, Any]

STYLE_ELEMENT = re.compile(r"<style\b.*?</style>", re.S)
SCRIPT_ELEMENT = re.compile(r"<script\b.*?</script>", re.S | re.I)
SUMMARY, FAILED = "summary", "failed"  # tags of cells
# A widget is shown by its text: without a kernel there is nothing behind it.
FACES = ["text/html", "image/svg+xml", "image/png", "image/jpeg", "text/plain"]

PAGE_STYLE = (
    "<style>" + files(__package__).joinpath("report_page.css").read_text("utf-8") + "</style>"
)


def write_page(path: Path, records: Sequence[Record]) -> None:
    """Write the report of a run."""
    path.write_text(page(records), encoding="utf-8")


def page(records: Sequence[Record]) -> str:
    """Return the report as an HTML document, made from all notebooks as if they were one."""
    title = _("SMTP AUTH, step by step: report")
    cells = [_words(f"{PAGE_STYLE}\n\n# {title}"), *_summary(records)]
    for record in records:
        cells += _cells(record)
    # Those of two notebooks may have the same id.
    cells = [{**cell, "id": str(number)} for number, cell in enumerate(cells)]
    notebook = {"cells": cells, "metadata": {"title": title}, "nbformat": 4, "nbformat_minor": 5}
    config = Config(
        NbConvertBase={"display_data_priority": FACES},
        TagRemovePreprocessor={"enabled": True, "remove_input_tags": {SUMMARY}},
    )
    exporter = HTMLExporter(config=config)  # type: ignore[no-untyped-call]
    html, _resources = exporter.from_notebook_node(from_dict(notebook))  # type: ignore[no-untyped-call]
    html = _once_each(SCRIPT_ELEMENT.sub("", html))
    # Links from notebook to notebook stay on the page.
    return re.sub(r'href="(?:\./)?(\w+)\.ipynb"', r'href="#\1"', html)


def _words(source: str) -> Cell:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _summary(records: Sequence[Record]) -> list[Cell]:
    """Return cells that say what failed, what was proven, and where each notebook stands."""
    rows = proven(records)
    tones = ["bad" if mark == "✘" else "good" for mark, *_rest in rows]
    views = [
        *(Note(failure(record).removeprefix("✘ "), "bad") for record in records if record.fault),
        Table(["", _("step"), _("sentence")], rows, _("What was proven"), tones),
    ]
    code = {"cell_type": "code", "execution_count": None, "source": ""}
    outputs = [
        {"output_type": "display_data", "metadata": {}, "data": view._repr_mimebundle_()}
        for view in views
    ]
    links = [f"1. [{r.step.title}](#{r.step.slug}): {r.line}" for r in records]
    return [
        {**code, "metadata": {"tags": [SUMMARY]}, "outputs": outputs},
        _words("\n".join([f"## {_('Contents')}", "", *links])),
    ]


def _cells(record: Record) -> Iterator[Cell]:
    """Yield a notebook's cells; none where it was never written."""
    if not record.notebook.is_file():
        return
    yield _words(f'<section id="{record.step.slug}"></section>')
    blamed = record.fault.cell if record.fault else 0
    for number, cell in enumerate(own_cells(read_notebook(record.notebook)), start=1):
        if number == blamed:
            cell["metadata"]["tags"] = [FAILED]
        if is_code(cell) or cell["cell_type"] == "markdown":
            yield cell


def _once_each(html: str) -> str:
    """Keep each style sheet at its first place only: every output brings the same ones."""
    seen: set[str] = set()

    def keep(found: re.Match[str]) -> str:
        is_new = found[0] not in seen
        seen.add(found[0])
        return found[0] if is_new else ""

    return STYLE_ELEMENT.sub(keep, html)
