"""How long the relay matrix takes, and the steps' checks: as they pass, and with each fault.

Part of `make bench`. It measures and judges nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from handson.course import checks, outline
from handson.course.begin import begin
from handson.course.goto import goto
from handson.course.outline import steps
from handson.course.step import Step
from handson.diagnosis import faults
from handson.lab.lab import Lab
from handson.ui import terminal
from handson.ui.view import Table
from handson.workspace import Workspace

STEPS = steps()

NAME = f"bench-{os.getpid()}"
SLUGS = [step.slug for step in STEPS if step.slug < "08"]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="handson-bench-") as folder:
        os.environ.update(HANDSON_NAME=NAME, HANDSON_HEADLESS="1", HANDSON_WORKSPACE=folder)
        Lab(NAME).down()
        try:
            goto("08", Workspace(NAME, Path(folder)))
            step = begin("08_break_it")
            say = terminal.console().print
            started = time.monotonic()
            tries = step.relay_matrix("after_login")
            say(f"relay matrix, {len(tries.cells)} tries {time.monotonic() - started:21.1f} s")
            say("checks, in seconds; * does not pass")
            say(measure(step))
            step.hosts.close()
        finally:
            Lab(NAME).down()
    return 0


def measure(step: Step) -> Table:
    """Return the seconds that each step's checks take, in a row for each fault."""
    rows = [row("none", step)]
    for fault in faults.FAULTS:
        faults.inject(step.observe(), fault.id)
        try:
            rows.append(row(fault.id, step))
        finally:
            faults.fix(step.observe())
    return Table(["fault", *(slug[:2] for slug in SLUGS), "longest"], rows)


def row(name: str, step: Step) -> list[str]:
    """Return one row; a step whose checks do not all pass is marked with a *."""
    times, cells = [], []
    for slug in SLUGS:
        observed = step.observe(slug)
        started = time.monotonic()
        results = checks.run(outline.step(slug).rules, observed)
        times.append(time.monotonic() - started)
        cells.append(f"{times[-1]:.2f}" + (" " if all(r.ok for r in results) else "*"))
    return [name, *cells, f"{max(times):.2f}"]


if __name__ == "__main__":
    sys.exit(main())
