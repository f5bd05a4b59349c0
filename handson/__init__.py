"""SMTP AUTH for a Postfix relay, learned step by step.

A notebook begins with

    from handson import begin
    step = begin("02_sasl_install")
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    # Before anything that only Unix has is imported.
    sys.exit("The course does not run on Windows itself: run it in WSL2 (wsl --install).")

from handson.hosts import library_log

if TYPE_CHECKING:
    from handson.course.begin import begin
    from handson.course.goto import goto, reset
    from handson.course.step import Step

__all__ = ["Step", "begin", "goto", "reset"]

_MODULES = {
    "Step": "handson.course.step",
    "begin": "handson.course.begin",
    "goto": "handson.course.goto",
    "reset": "handson.course.goto",
}

library_log.install()
# moto and nbformat import jsonschema, and that one a grammar of international addresses where it
# is installed, which takes three seconds to build. Nothing here needs it: None is "not installed".
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the command `handson` and the lab's server need none of it,
    # and it takes most of a second.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
