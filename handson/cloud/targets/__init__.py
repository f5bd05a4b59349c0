"""Where the course can run: one object for each place, known by its name here and nowhere else."""

from __future__ import annotations

from handson.cloud.targets.aws import AwsTarget
from handson.cloud.targets.lab import LabTarget
from handson.cloud.targets.ssh import SshTarget
from handson.cloud.targets.target import Endpoint, Tap, Target
from handson.settings import CHECKS, Settings
from handson.workspace import Workspace

__all__ = ["KINDS", "Endpoint", "Tap", "Target", "kind", "of"]

# In the order of `settings.TARGETS`, which knows the names only.
KINDS: tuple[type[Target], ...] = (LabTarget, AwsTarget, SshTarget)


def kind(name: str) -> type[Target]:
    """Return the class of the target of that name; InvalidInput for one not in `settings.TARGETS`.

    >>> kind("aws").title
    'AWS'
    """
    known = CHECKS["target"](name)
    return next(one for one in KINDS if one.name == known)


def of(settings: Settings, workspace: Workspace) -> Target:
    """Return the target that the settings name. Nothing is asked of it yet."""
    return kind(settings.target)(workspace, settings)
