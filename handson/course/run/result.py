"""What a notebook's run left behind: which cells ran, what failed, which checks passed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from handson.course.step import Step
from handson.i18n import _

ERROR_MARKER = "papermill-error-cell-tag"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class NotebookFailure:
    """Why a notebook does not count: an error, or a cell that was skipped in silence.

    `cell` is the cell's place in the notebook, counted from 1; 0 where no cell is to blame.
    `name` is the error's class, or an id such as 'timeout'.
    """

    cell: int
    name: str
    text: str


@dataclass(frozen=True)
class Record:
    """One step's notebook after its run.

    `checks` are the checks as the step's report recorded them in the workspace.
    """

    step: type[Step]
    notebook: Path
    seconds: float
    fault: NotebookFailure | None
    checks: tuple[Mapping[str, Any], ...]

    @property
    def good(self) -> int:
        """How many checks passed."""
        return sum(bool(check["ok"]) for check in self.applying)

    @property
    def applying(self) -> list[Mapping[str, Any]]:
        """The checks that apply where the course ran."""
        return [check for check in self.checks if applies(check)]

    @property
    def passed(self) -> bool:
        return self.fault is None and bool(self.checks) and self.good == len(self.applying)

    @property
    def line(self) -> str:
        """The run in one line.

        >>> from handson.course import outline
        >>> Record(outline.steps()[0], Path("00_start.ipynb"), 7.25, None, ({"ok": True},)).line
        '✔ 00_start               7.2 s   1 of 1 checks passed'
        """
        mark = "✔" if self.passed else "✘"
        counted = _("{good} of {all} checks passed").format(good=self.good, all=len(self.applying))
        return f"{mark} {self.step.slug:<20} {self.seconds:5.1f} s   {counted}"


def applies(check: Mapping[str, Any]) -> bool:
    """Return whether a recorded check applied; one of an earlier release does not say, and did."""
    return bool(check.get("applies", True))


def has_failed(check: Mapping[str, Any]) -> bool:
    return applies(check) and not check["ok"]


def read_notebook(path: Path) -> Mapping[str, Any]:
    """Read a notebook in format 4, every text in it as one string."""
    notebook: Mapping[str, Any] = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def own_cells(notebook: Mapping[str, Any]) -> list[Any]:
    """Return a notebook's cells without those in which papermill points at an error."""
    return [
        cell
        for cell in notebook["cells"]
        if ERROR_MARKER not in cell.get("metadata", {}).get("tags", [])
    ]


def is_code(cell: Mapping[str, Any]) -> bool:
    """Return whether a cell is one that a kernel runs; an empty one is not."""
    return cell["cell_type"] == "code" and bool(cell["source"].strip())


def find_fault(notebook: Mapping[str, Any]) -> NotebookFailure | None:
    """Return the first thing that is wrong with an executed notebook, or None.

    An error output counts, whatever its name: `sys.exit(0)` looks like success to
    papermill and leaves out the rest. So does a cell that has not run.
    """
    cells = list(enumerate(own_cells(notebook), start=1))
    for number, cell in cells:
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                return NotebookFailure(number, output["ename"], error_text(output))
    for number, cell in cells:
        if is_code(cell) and cell.get("execution_count") is None:
            return NotebookFailure(number, "skipped", _("This cell has not run."))
    for number, cell in cells:
        state = cell.get("metadata", {}).get("papermill", {})
        if is_code(cell) and (state.get("exception") or state.get("status") != "completed"):
            return NotebookFailure(number, "unfinished", _("This cell has not run to its end."))
    return None


def find_unmet(progress: Mapping[str, Any], slug: str) -> NotebookFailure | None:
    """Return what is wrong with the report that a step has recorded, or None."""
    report = progress.get(slug)
    if not report or not report["checks"]:
        return NotebookFailure(0, "no report", _("The step has recorded no checks."))
    failed = [check["sentence"] for check in report["checks"] if has_failed(check)]
    if failed:
        return NotebookFailure(0, "checks", " ".join(failed))
    return None


def error_text(output: Mapping[str, Any]) -> str:
    """Return an error output's own words, without colours and call chain.

    >>> error_text({"evalue": "The disk is full.\\n→ Delete old runs.", "traceback": []})
    'The disk is full.\\n→ Delete old runs.'
    """
    text = str(output.get("evalue", "")).strip()
    if not text and output.get("traceback"):
        text = str(output["traceback"][-1]).strip()
    return COLOURS.sub("", text)
