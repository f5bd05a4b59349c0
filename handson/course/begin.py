"""Beginning a step."""

from __future__ import annotations

from handson.course import outline, progress
from handson.course.step import Step
from handson.workspace import Workspace


def begin(slug: str, workspace: Workspace | None = None) -> Step:
    """Begin a step: what a notebook's first cell calls. Returns the step's own class.

    >>> begin("02_sasl_install").server.run("hostname")     # doctest: +SKIP
    """
    return outline.step(slug)(workspace or Workspace(), progress.now)
