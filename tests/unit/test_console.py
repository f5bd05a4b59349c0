"""What a run tells on a terminal, and what into a pipe."""

from __future__ import annotations

import io
from pathlib import Path

import small_notebooks as small
from rich.console import Console

from handson.course.outline import steps
from handson.course.run.console import Show, failure, proven, summary
from handson.course.run.result import NotebookFailure, Record

STEPS = steps()


def console(file: io.StringIO, terminal: bool) -> Console:
    return Console(
        file=file, force_terminal=terminal, width=100, highlight=False, markup=False, emoji=False
    )


def record(ok: bool = True, fault: NotebookFailure | None = None) -> Record:
    check = {"id": "a", "sentence": "The [bold] port :warning: is open.", "ok": ok}
    return Record(STEPS[0], Path("runs/x/00_start.ipynb"), 2.0, fault, (check,))


def test_a_terminal_gets_a_bar_with_a_stretch_for_each_cell(tmp_path: Path) -> None:
    paths = [small.write(tmp_path / f"{n}.ipynb", "1", "2", "") for n in range(3)]
    file = io.StringIO()
    shown = Show(tmp_path, console(file, True))
    with shown.running(paths):
        shown.begin(STEPS[0])
        shown.cell()
        shown.done(record())
    assert "1/6" in file.getvalue()  # empty cells are none
    assert "1 of 1 checks passed" in file.getvalue()
    shown.cell()  # the teardown's cells come when the bar is gone


def test_a_pipe_gets_one_line_a_notebook(tmp_path: Path) -> None:
    file = io.StringIO()
    shown = Show(tmp_path, console(file, False))
    with shown.running([]):
        shown.begin(STEPS[0])
        shown.cell()
        shown.done(record())
    assert file.getvalue().splitlines() == [record().line]


def test_sentences_are_shown_as_they_are(tmp_path: Path) -> None:
    file = io.StringIO()
    Show(tmp_path, console(file, False)).end([record()])
    assert "The [bold] port :warning: is open." in file.getvalue()


def test_what_was_not_proven_is_in_the_table_too() -> None:
    rows = proven([record(ok=False)])
    assert rows[0] == ["✘", "00_start", "The [bold] port :warning: is open."]
    assert [row[:2] for row in rows[1:]] == [["–", step.slug] for step in STEPS[1:]]
    rows = proven([record(fault=NotebookFailure(3, "E", "broke"))])
    assert rows[1] == ["✘", "00_start", "The notebook did not get to its end."]


def test_a_failure_names_notebook_cell_and_file() -> None:
    assert failure(record(fault=NotebookFailure(3, "E", "It broke.\n→ Mend it."))).splitlines() == [
        "✘ 00_start, cell 3: E",
        "  It broke.",
        "  → Mend it.",
        "  The executed notebook: runs/x/00_start.ipynb",
    ]


def test_only_a_whole_course_has_passed() -> None:
    steps = len(STEPS)
    assert summary([record()] * 8, 1).startswith(f"Failed: 8 of {steps} notebooks, 8 of 8 checks")
    whole = f"Passed: {steps} of {steps} notebooks, {steps} of {steps} checks"
    assert summary([record()] * steps, 1).startswith(whole)
    short = summary([record()] * 8 + [record(ok=False)], 1)
    assert short.startswith(f"Failed: 8 of {steps}")


def test_what_does_not_apply_is_counted_nowhere() -> None:
    checks = ({"id": "a", "sentence": "A.", "ok": True}, {"id": "b", "sentence": "B.", "ok": False})
    away = Record(STEPS[0], Path("x"), 2.0, None, (checks[0], {**checks[1], "applies": False}))
    assert away.passed and not Record(STEPS[0], Path("x"), 2.0, None, checks).passed
    assert away.line.endswith("1 of 1 checks passed")
    assert [row[0] for row in proven([away])][:2] == ["✔", "–"]
    assert "1 of 1 checks passed" in summary([away], 1)
