"""The errors a learner may meet: each says what happened and what to do.

::

    HandsonError
     ├── InvalidInput        a value that was typed cannot be used
     ├── CommandFailed       a command on a host ended with the wrong status
     ├── NotRefused          a refusal was expected and did not come
     ├── HostUnreachable     a host does not answer over ssh
     ├── NotHere             asked of what is not there where the course runs
     ├── CloudError          the AWS API said no
     │    └── StackFailed    a CloudFormation stack did not get there
     ├── LabError            the embedded lab cannot do what was asked
     │    ├── EngineMissing  no container engine was found
     │    └── LabDown        the lab is not running
     └── CheckFailed         a step is not finished yet
"""

from __future__ import annotations

import re

from handson.i18n import _
from handson.secret import masked

# Control characters except tab and newline, what turns the direction of writing, other ends of
# lines, and halves of characters.
STEERING = re.compile(
    r"[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Return a text without the signs that steer a terminal.

    >>> printable("a\\x1b[31m\\tb")
    'a?[31m\\tb'
    """
    return STEERING.sub("?", text)


class HandsonError(Exception):
    """Base of all errors of the course.

    `what` is one sentence that says what happened, `cure` one that says what to do.

    >>> print(HandsonError("The disk is full.", "Delete old runs."))
    The disk is full.
    → Delete old runs.
    """

    def __init__(self, what: str, cure: str = "") -> None:
        # Both may quote what somebody typed or what a host answered.
        self.what, self.cure = printable(masked(what)), printable(masked(cure))
        super().__init__(self.what, self.cure)

    def __str__(self) -> str:
        return f"{self.what}\n→ {self.cure}" if self.cure else self.what

    def _render_traceback_(self) -> list[str]:
        # IPython asks an exception for this before it prints fifty lines of
        # stack; a learner needs the sentence, not our call chain.
        return [f"\x1b[31m{type(self).__name__}\x1b[0m", *str(self).splitlines()]


class InvalidInput(HandsonError, ValueError):
    """A value that was typed cannot be used; nothing has been changed."""


class CommandFailed(HandsonError):
    """A command on a host ended with a status other than the expected one."""

    def __init__(self, host: str, command: str, status: int, output: str, cure: str = "") -> None:
        self.host, self.command, self.status, self.output = host, command, status, output
        tail = "\n".join(f"    {line}" for line in output.strip().splitlines()[-10:])
        what = _("On {host} this command ended with exit status {status}:").format(
            host=host, status=status
        )
        super().__init__(
            f"{what}\n    $ {command}\n{tail}".rstrip(),
            cure or _("Fix the problem that its last lines name, and run the cell again."),
        )


class NotRefused(HandsonError):
    """Something that had to be refused was let through, or failed for another reason."""


class HostUnreachable(HandsonError):
    """A host does not answer over ssh."""


class NotHere(HandsonError):
    """What was asked for is not there where the course runs: a firewall of AWS, say.

    Nothing is wrong then; what needs it is left out.
    """


class CloudError(HandsonError):
    """The AWS API, or what stands in for it, said no."""


class StackFailed(CloudError):
    """A CloudFormation stack rolled back or failed."""


class LabError(HandsonError):
    """The embedded lab cannot do what was asked."""


class EngineMissing(LabError):
    """No container engine was found and none could be started."""


class LabDown(LabError):
    """The embedded lab is not running."""


class CheckFailed(HandsonError):
    """A step has a check that does not pass."""
