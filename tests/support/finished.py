"""The course's notebooks run in this process, for tests that need a finished server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

from solving import solve

from handson.course import checks, outline
from handson.course.begin import begin
from handson.course.checks import Observation, Result
from handson.course.outline import steps
from handson.course.step import Step
from handson.workspace import Workspace

STEPS = steps()

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

    def observe(self) -> Observation:
        """Return a fresh observation, judged by the stage of the course at its end."""
        observed = self.step.observe()
        observed.stage = "after_login"
        return observed

    def failing(
        self, slugs: tuple[str, ...] = SLUGS, observed: Observation | None = None
    ) -> dict[str, Result]:
        """Return the checks that do not pass, from one look at everything."""
        observed = observed or self.step.observe()
        return {
            r.id: r
            for slug in slugs
            for r in checks.run(outline.step(slug).rules, observed)
            if not r.ok
        }


@contextmanager
def run_course(workspace: Workspace, last: str) -> Iterator[Finished]:
    """Run the notebooks from 00 up to `last`; the lab of that name has to be up."""
    chosen = {
        "HANDSON_NAME": workspace.name,
        "HANDSON_WORKSPACE": str(workspace.path),
        "HANDSON_HEADLESS": "1",
    }
    with mock.patch.dict(os.environ, chosen):
        solve("00_start")
        course = Finished(begin("07_log_check", workspace))
        observed = course.step.observe()
        course.untouched = {slug: checks.run(outline.step(slug).rules, observed) for slug in SLUGS}
        for info in STEPS[1 : int(last) + 1]:
            solve(info.slug)
    try:
        yield course
    finally:
        course.step.hosts.close()
