"""Small notebooks for the tests of the runner, and a place for them to run in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import v4

from handson.cloud.targets.lab import LabTarget
from handson.errors import HandsonError
from handson.settings import Settings
from handson.workspace import Workspace

RECORD = """
from handson.settings import Settings
from handson.workspace import Workspace
Workspace().record("{slug}", {{
    "passed": {ok},
    "checks": [{{"id": "so", "sentence": "It is so in {slug}.", "ok": {ok}}}],
}})
"""


def record(slug: str, ok: bool = True) -> str:
    """Return a cell's code that records a report, as `step.check()` does."""
    return RECORD.format(slug=slug, ok=ok).strip()


def write(path: Path, *codes: str, text: str = "# A step") -> Path:
    """Write a notebook: a heading, then a cell for each piece of code."""
    cells = [v4.new_markdown_cell(text), *map(v4.new_code_cell, codes)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


class Meadow(LabTarget):
    """A place without hosts, which remembers what was asked of it."""

    kept = "Everything is kept."

    def __init__(self, workspace: Workspace, refuse: str = "") -> None:
        super().__init__(workspace, Settings())
        self.refuse = refuse
        self.is_torn_down = self.is_kept = False

    def prepare(self) -> None:
        if self.refuse:
            raise HandsonError(self.refuse, "Try another meadow.")

    def keep(self) -> None:
        self.is_kept = True

    def tear_down(self, complete: bool, run_teardown: Callable[[], bool]) -> str:
        self.is_torn_down = True
        return "The meadow is empty."
