"""The report of a run is one page that needs nothing from anywhere else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from handson.course.outline import steps
from handson.course.run.report_page import page, write_page
from handson.course.run.result import NotebookFailure, Record
from handson.ui.view import Note

STEPS = steps()

PIXEL = "iVBORw0KGgo="  # not a picture, but nobody draws it
WIDGET = "application/vnd.jupyter.widget-view+json"
LOADING = {"src", "data", "poster", "background", "action", "srcset"}


class Reader(HTMLParser):
    """Collects what a browser would load, where links lead, and what can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in LOADING or (name == "href" and tag != "a"):
                self.loaded.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name == "id":
                self.ids.add(value or "")


def output(**data: str) -> nbformat.NotebookNode:
    kinds = {"text": "text/plain", "html": "text/html", "png": "image/png", "widget": WIDGET}
    return v4.new_output("display_data", {kinds[name]: value for name, value in data.items()})


@pytest.fixture
def record(tmp_path: Path) -> Record:
    note = Note("Port 587 is open.", tone="good")._repr_mimebundle_()
    cells = [
        v4.new_markdown_cell(
            "# Begin <here>\n\n[Next](01_security_group.ipynb), "
            "[manual](https://www.postfix.org/postconf.5.html), $x^2$"
        ),
        v4.new_code_cell("form", execution_count=1, outputs=[output(widget="{}", text="a: 1 <b>")]),
        v4.new_code_cell(
            "note",
            execution_count=2,
            outputs=[
                v4.new_output("display_data", dict(note)),
                v4.new_output("display_data", dict(note)),
                output(png=PIXEL),
                output(html="<script src='https://cdn.example/x.js'></script><i>kept</i>"),
            ],
        ),
        v4.new_code_cell(
            "print('red')",
            execution_count=3,
            outputs=[
                v4.new_output("stream", text="\x1b[31mred\x1b[0m <tag>\n"),
                v4.new_output("error", ename="E", evalue="no <way>", traceback=["E: no <way>"]),
            ],
        ),
    ]
    path = tmp_path / "00_start.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    checks = ({"id": "a", "sentence": "A & B hold.", "ok": True},)
    return Record(STEPS[0], path, 1.5, NotebookFailure(4, "E", "no <way>"), checks)


def test_nothing_is_loaded_from_outside(record: Record, tmp_path: Path) -> None:
    write_page(tmp_path / "report.html", [record])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = Reader(text)
    assert [place[:22] for place in found.loaded] == ["data:image/png;base64,"]
    assert not {"script", "link", "iframe", "object", "embed"} & set(found.tags)
    assert "@import" not in text
    assert re.findall(r"url\((?!['\"]?data:)", text) == []


def test_links_within_the_course_stay_on_the_page(record: Record) -> None:
    second = Record(STEPS[1], record.notebook, 1.0, None, record.checks)
    found = Reader(page([record, second]))
    inside = [link for link in found.links if link.startswith("#") and "_" in link]
    assert set(inside) == {"#00_start", "#01_security_group"}
    assert all(link[1:] in found.ids for link in inside)
    assert not [link for link in found.links if link.endswith(".ipynb")]


def test_every_face_is_shown_as_what_it_is(record: Record) -> None:
    text = page([record])
    assert "<pre>a: 1 &lt;b&gt;</pre>" in text  # the widget's text face
    assert text.count("✔ Port 587 is open.") == 2
    assert text.count("div.ho.ho.ho .note-box{") == 1  # its style sheet, once
    assert "<i>kept</i>" in text
    assert "<tag>" not in text and "no <way>" not in text
    assert "A &amp; B hold." in text


def test_the_cell_that_failed_is_marked(record: Record) -> None:
    text = page([record])
    assert text.count(' celltag_failed"') == 1
    assert "print" in text.split(' celltag_failed"')[1][:800]
    assert text.count("✘ 00_start, cell 4: E") == 1 and "✘ ✘" not in text
    assert text.index("✘ 00_start, cell 4: E") < text.index('<section id="00_start">')


def test_a_notebook_that_was_never_written_has_no_section(tmp_path: Path) -> None:
    fault = NotebookFailure(0, "kernel", "It did not start.")
    text = page([Record(STEPS[0], tmp_path / "no.ipynb", 0.0, fault, ())])
    assert "<section" not in text
    assert "It did not start." in text
