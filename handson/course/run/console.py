"""What a run of the course tells in the terminal while it goes on, and at its end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from handson.course import outline
from handson.course.run.result import Record, applies, has_failed, is_code, read_notebook
from handson.course.step import Step
from handson.errors import HandsonError
from handson.i18n import _
from handson.ui import terminal
from handson.ui.view import Table


class Show:
    """Tells about one run; `folder` is where its notebooks go."""

    def __init__(self, folder: Path, console: Console | None = None) -> None:
        self.folder = folder
        self.console = console or terminal.console()
        self._bar: Progress | None = None

    # -- while it goes on ----------------------------------------------------

    @contextlib.contextmanager
    def running(self, notebooks: Sequence[Path]) -> Iterator[None]:
        """Show a bar, where there is a terminal, that has a stretch for each code cell."""
        if not self.console.is_terminal:
            yield
            return
        cells = sum(is_code(cell) for path in notebooks for cell in read_notebook(path)["cells"])
        self._bar = terminal.bar(self.console, MofNCompleteColumn())
        with self._bar:
            self._bar.add_task("", total=cells)
            yield
        self._bar = None

    def begin(self, step: type[Step]) -> None:
        if self._bar:
            self._bar.update(self._bar.task_ids[0], description=step.slug)

    def cell(self) -> None:
        """A code cell is through."""
        if self._bar:
            self._bar.advance(self._bar.task_ids[0])

    def done(self, record: Record) -> None:
        self.say(record.line)

    def say(self, sentence: str) -> None:
        self.console.print(sentence, soft_wrap=True)

    # -- at the end ----------------------------------------------------------

    def end(self, records: Sequence[Record]) -> None:
        """Print the closing table, and why the last notebook failed where one did."""
        if not records:
            return
        rows = proven(records)
        tones = ["bad" if mark == "✘" else "" for mark, *_words in rows]
        columns = ["", _("step"), _("sentence")]
        self.console.print(Table(columns, rows, _("What was proven"), tones))
        for record in records:
            if record.fault:
                print(failure(record), file=sys.stderr, flush=True)

    def failed(self, error: HandsonError) -> None:
        print(error, file=sys.stderr, flush=True)

    def total(self, records: Sequence[Record], seconds: float) -> None:
        self.say(_("Report: {path}").format(path=self.folder / "report.html"))
        self.say(summary(records, seconds))


def proven(records: Sequence[Record]) -> list[list[str]]:
    """Return what was proven and what not: mark, step and sentence each."""
    rows = []
    for record in records:
        for check in record.checks:
            mark = ("✘" if has_failed(check) else "✔") if applies(check) else "–"
            rows.append([mark, record.step.slug, str(check["sentence"])])
        if record.fault and not any(map(has_failed, record.checks)):
            rows.append(["✘", record.step.slug, _("The notebook did not get to its end.")])
    reached = {record.step.slug for record in records}
    missed = [step for step in outline.steps() if step.slug not in reached]
    rows += [["–", step.slug, _("not reached")] for step in missed]
    return rows


def failure(record: Record) -> str:
    """Return why a notebook failed, in one message."""
    assert record.fault
    where = record.step.slug
    if record.fault.cell:
        where = _("{notebook}, cell {number}").format(notebook=where, number=record.fault.cell)
    text = record.fault.text.replace("\n", "\n  ")
    return _("✘ {where}: {name}\n  {text}\n  The executed notebook: {path}").format(
        where=where, name=record.fault.name, text=text, path=record.notebook
    )


def summary(records: Sequence[Record], seconds: float) -> str:
    """Return the last line of a run.

    >>> summary([], 3.21)
    'Failed: 0 of 11 notebooks, 0 of 0 checks passed; 3 s in all.'
    """
    passed = sum(record.passed for record in records)
    word = _("Passed") if passed == len(outline.steps()) else _("Failed")
    return _(
        "{word}: {passed} of {all} notebooks, {good} of {checks} checks passed; "
        "{seconds:.0f} s in all."
    ).format(
        word=word,
        passed=passed,
        all=len(outline.steps()),
        good=sum(record.good for record in records),
        checks=sum(len(record.applying) for record in records),
        seconds=seconds,
    )
