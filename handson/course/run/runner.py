"""The whole course without a browser: every notebook in its order, a table, a report."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handson.cloud import targets
from handson.cloud.targets import Target
from handson.course import outline
from handson.course.run.console import Show
from handson.course.run.result import Record, find_unmet
from handson.course.run.signals import stopping, undisturbed
from handson.course.step import Step
from handson.errors import HandsonError
from handson.i18n import _
from handson.lab.lock import hold
from handson.settings import HEADLESS, TARGETS
from handson.workspace import private_file

CELL_SECONDS = 180


@dataclass(frozen=True)
class Plan:
    """What to run, and where.

    `root` holds `notebooks/`; what is made goes to a folder of this moment under `runs`.
    `target` is the name of one, `name` the lab's. With `keep` the hosts stay where
    something failed. With `take_over` a lab of that name that no run made is given up for
    this one. `since` (seconds of the epoch) is when the clock was started; when 0, now.
    """

    root: Path
    runs: Path
    target: str = TARGETS[0]
    name: str = "course"
    base: str = ""
    cell_seconds: int = CELL_SECONDS
    keep: bool = False
    take_over: bool = False
    since: float = 0


def run_course(plan: Plan, place: Target | None = None) -> int:
    """Run the course and return a status: 0 only if every cell ran and every check passed.

    `place` is made from the plan when none is given.

    The hosts are gone at the end, whatever happened, unless the plan keeps them. Raises
    HandsonError when the run could not begin, Stopped when it was asked to end. A second run
    under the same name waits: it would take the first one's hosts down.
    """
    since = plan.since or time.time()
    notebooks = find_notebooks(plan.root)
    with hold(plan.name, "handson run"), stopping():
        folder = new_folder(plan.runs)
        show = Show(folder)
        place = place or _place(plan, folder)
        records: list[Record] = []
        try:
            place.prepare()
            for record in run_notebooks(notebooks, folder, place, plan.cell_seconds, show):
                records.append(record)
        except HandsonError as error:
            show.failed(error)
        finally:
            with undisturbed():
                complete = [record.passed for record in records] == [True] * len(outline.steps())
                show.end(records)
                left = _finish(place, plan, records, complete, folder, show)
                show.total(records, time.time() - since)
    return 0 if complete and not left else 1


def find_notebooks(root: Path) -> list[tuple[type[Step], Path]]:
    """Return each step with its notebook; raise HandsonError when one is not there."""
    found = [(step, root / "notebooks" / f"{step.slug}.ipynb") for step in outline.steps()]
    for _step, path in found:
        if not path.is_file():
            raise HandsonError(
                _("There is no notebook {path}.").format(path=path),
                _("Run this in a checkout of the course, or name it with --root."),
            )
    return found


def run_notebooks(
    notebooks: Sequence[tuple[type[Step], Path]],
    folder: Path,
    place: Target,
    cell_seconds: int,
    show: Show,
) -> Iterator[Record]:
    """Run notebooks one after the other, and stop after the first that does not pass."""
    with show.running([path for _step, path in notebooks]):
        for step, path in notebooks:
            show.begin(step)
            record = run_step(step, path, folder, place, cell_seconds, show)
            show.done(record)
            yield record
            if not record.passed:
                return


def run_step(
    step: type[Step],
    source: Path,
    folder: Path,
    target: Target,
    cell_seconds: int,
    show: Show,
) -> Record:
    """Run one step's notebook and return its record."""
    workspace = target.workspace
    # Imported here: the command's other parts need no kernel.
    from handson.course.run.kernel import run_notebook

    workspace.forget(step.slug)  # only a report of this run counts
    executed = folder / source.name
    started = time.monotonic()
    fault = run_notebook(source, executed, kernel_environment(target), cell_seconds, show.cell)
    progress = workspace.progress()
    fault = fault or find_unmet(progress, step.slug)
    checks = progress.get(step.slug, {}).get("checks", ())
    return Record(step, executed, time.monotonic() - started, fault, tuple(checks))


def kernel_environment(target: Target) -> dict[str, str]:
    """Return the variables that a notebook's kernel gets besides this process's own."""
    return {
        **target.environment,
        HEADLESS: "1",
        "HANDSON_NAME": target.workspace.name,
        "HANDSON_WORKSPACE": str(target.workspace.path.absolute()),
        "HANDSON_TARGET": target.name,
        # A kernel finds this very package, wherever it was started from.
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
    }


# -- the beginning and the end ------------------------------------------------


def _place(plan: Plan, folder: Path) -> Target:
    return targets.kind(plan.target).for_run(plan.name, folder, plan.base, plan.take_over)


def _finish(
    place: Target,
    plan: Plan,
    records: Sequence[Record],
    complete: bool,
    folder: Path,
    show: Show,
) -> bool:
    """Take the hosts down, write the report; tell whether something is left of the hosts."""
    from handson.course.run.report_page import write_page

    def run_teardown() -> bool:
        step, source = find_notebooks(plan.root)[-1]
        return run_step(step, source, folder, place, plan.cell_seconds, show).passed

    left = False
    if plan.keep and not complete:
        place.keep()
        show.say(place.kept)
    else:
        try:
            show.say(place.tear_down(complete, run_teardown))
        except HandsonError as error:
            show.failed(error)
            left = True
    write_page(folder / "report.html", records)
    return left


def runs_folder(root: Path, workspace: Path) -> Path:
    """Return the folder `runs` of a checkout, or a workspace's where that cannot be written."""
    runs = root / "runs"
    if os.access(runs if runs.exists() else root, os.W_OK | os.X_OK):
        return runs
    return workspace / "runs"


def new_folder(runs: Path) -> Path:
    """Make a folder of this moment under `runs`."""
    while True:
        folder = runs.absolute() / time.strftime("%Y%m%d-%H%M%S")
        with contextlib.suppress(FileExistsError):  # a run beside this one took this second
            private_file.make_folder(folder.parent)
            folder.mkdir(mode=0o700)  # what hosts answered is in it
            return folder
        time.sleep(0.1)
