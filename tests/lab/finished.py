"""The course's notebooks run in this process, for tests that need a finished server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from handson import checks
from handson.checks import Result, Scene
from handson.step import Step, begin
from handson.workspace import Workspace

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SLUGS = (
    "01_security_group",
    "02_sasl_install",
    "03_sasldb",
    "04_main_cf",
    "05_master_cf",
    "06_mailx_test",
    "07_log_check",
)


@dataclass
class Finished:
    """A course that was run; `untouched` are the checks of each step before it was begun."""

    step: Step
    untouched: dict[str, list[Result]] = field(default_factory=dict)

    def failing(
        self, slugs: tuple[str, ...] = SLUGS, scene: Scene | None = None
    ) -> dict[str, Result]:
        """Return the checks that do not pass, from one look at everything."""
        scene = scene or self.step.scene()
        return {r.id: r for slug in slugs for r in checks.run(slug, scene) if not r.ok}


def run_notebook(name: str) -> None:
    """Run the code cells of a notebook whose file begins with `name`."""
    file = next(NOTEBOOKS.glob(f"{name}*.ipynb"))
    space: dict[str, object] = {}
    for cell in json.loads(file.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), space)


@contextmanager
def run_course(workspace: Workspace, last: str) -> Iterator[Finished]:
    """Run the notebooks from 00 up to `last`; the lab of that name has to be up."""
    chosen = {
        "HANDSON_NAME": workspace.name,
        "HANDSON_WORKSPACE": str(workspace.path),
        "HANDSON_HEADLESS": "1",
    }
    with mock.patch.dict(os.environ, chosen):
        run_notebook("00")
        course = Finished(begin("07_log_check", workspace))
        scene = course.step.scene()
        course.untouched = {slug: checks.run(slug, scene) for slug in SLUGS}
        for number in range(1, int(last) + 1):
            run_notebook(f"{number:02}")
    yield course
    course.step.hosts.close()
