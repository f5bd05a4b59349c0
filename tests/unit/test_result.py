"""A notebook counts only when every cell ran and nothing went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handson.course.outline import steps
from handson.course.run.result import NotebookFailure, Record, error_text, find_fault, find_unmet

STEPS = steps()


def cell(source: str = "1", count: int | None = 1, **more: Any) -> dict[str, Any]:
    state = {"status": "completed", "exception": False, **more.pop("state", {})}
    return {
        "cell_type": "code",
        "source": source,
        "execution_count": count,
        "metadata": {"papermill": state},
        "outputs": more.pop("outputs", []),
    }


def error(name: str, value: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": []}


def text(words: str, *tags: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": words, "metadata": {"tags": list(tags)}}


def test_a_notebook_that_ran_has_no_fault() -> None:
    assert find_fault({"cells": [text("# A"), cell(), cell("", None)]}) is None


def test_an_error_is_told_with_its_cell_and_its_own_words() -> None:
    # papermill puts two cells of its own in: they do not count.
    marks = [text("here", "papermill-error-cell-tag")] * 2
    broken = cell("x", outputs=[error("HandsonError", "It broke.\n→ Mend it.")])
    notebook = {"cells": [marks[0], text("# A"), cell(), marks[1], broken, cell("y", None)]}
    assert find_fault(notebook) == NotebookFailure(3, "HandsonError", "It broke.\n→ Mend it.")


def test_an_exit_that_looks_like_success_is_a_fault() -> None:
    left = cell("import sys; sys.exit(0)", outputs=[error("SystemExit", "0")])
    assert find_fault({"cells": [left]}) == NotebookFailure(1, "SystemExit", "0")


@pytest.mark.parametrize(
    "skipped",
    [
        cell("x", None),
        cell("x", state={"status": "pending"}),
        cell("x", state={"exception": True}),
    ],
)
def test_a_cell_that_did_not_run_is_a_fault(skipped: dict[str, Any]) -> None:
    found = find_fault({"cells": [cell(), skipped]})
    assert found and found.cell == 2


def test_a_report_is_wanted_and_every_check_in_it() -> None:
    good = {"id": "a", "sentence": "A holds.", "ok": True}
    bad = {"id": "b", "sentence": "B holds.", "ok": False}
    assert find_unmet({"s": {"passed": True, "checks": [good]}}, "s") is None
    for progress in ({}, {"s": {"passed": True, "checks": []}}):
        found = find_unmet(progress, "s")
        assert found and "no checks" in found.text
    found = find_unmet({"s": {"passed": True, "checks": [good, bad]}}, "s")
    assert found and found.text == "B holds."


def test_a_record_passes_only_with_checks_and_without_a_fault() -> None:
    def record(fault: NotebookFailure | None, *oks: bool) -> Record:
        return Record(STEPS[0], Path("x"), 1.0, fault, tuple({"ok": ok} for ok in oks))

    assert record(None, True, True).passed
    assert not record(None).passed
    assert not record(None, True, False).passed
    assert not record(NotebookFailure(1, "a", "b"), True).passed
    assert record(None, True, False).line.endswith("1 of 2 checks passed")


def test_error_text_has_no_colours() -> None:
    output = {"evalue": "", "traceback": ["\x1b[31mone\x1b[0m", "\x1b[31mValueError: two\x1b[0m"]}
    assert error_text(output) == "ValueError: two"
