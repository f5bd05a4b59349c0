"""No shell line stands in a notebook's prose that nobody has tried."""

from __future__ import annotations

from pathlib import Path

import nbformat
from prose import RUNS, lines, unknown


def test_each_line_is_run_or_has_a_reason_not_to_be() -> None:
    hint = "print it in a cell with real values, or add it to RUNS in tests/support/prose.py"
    assert unknown(lines()) == [], hint


def test_a_new_line_is_noticed(tmp_path: Path) -> None:
    source = (
        "Type `sudo rm -rf /`, `mynetworks`, `ss -nlt4`.\n\n```\naws ec2 \\\n  do-it\nls\n```\n"
    )
    cell = nbformat.v4.new_markdown_cell(source, id="new")
    path = tmp_path / "11_new.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    assert unknown(lines([path])) == ["new: aws ec2   do-it", "new: ls", "new: sudo rm -rf /"]


def test_the_lines_to_be_run_are_found() -> None:
    assert {"handson ssh server", "postconf -n", "ss -nlt4"} <= RUNS.keys() & lines().keys()
