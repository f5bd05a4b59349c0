"""Waiting for a thing that comes by itself: a host's first boot, a mail, a line in the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from handson.errors import HandsonError
from handson.hosts.host import Host
from handson.i18n import _

Thing = TypeVar("Thing")


def wait_for(look: Callable[[], Thing | None], seconds: float) -> Thing:
    """Look until there is something, and return it; raise HandsonError after `seconds`.

    >>> wait_for(lambda: "here", 1)
    'here'
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise HandsonError(
                _("Nothing was there after {seconds:.0f} s.").format(seconds=seconds),
                _("Look at the end of the server's mail log for a line with status=deferred."),
            )
        time.sleep(0.1)


def wait_until_ready(host: Host, seconds: float = 600) -> None:
    """Wait until a host has run its user data; raise HandsonError with its last lines else.

    cloud-init leaves the mark that is waited for (cloudinit.readthedocs.io, boot stages).
    """
    mark = "/var/lib/cloud/instance/boot-finished"
    deadline = time.monotonic() + seconds
    while host.probe("test -e {mark}", mark=mark)[0] != 0:
        if time.monotonic() > deadline:
            tail = host.probe("sudo tail -n 10 /var/log/cloud-init-output.log")[1]
            raise HandsonError(
                _("{host} has not finished its user data:\n{tail}").format(
                    host=host.name, tail=tail.strip()
                ),
                _("Delete the stack in 10_teardown and run 00_start once more."),
            )
        time.sleep(0.2)


def newest_mail(host: Host, recipient: str, subject: str) -> str | None:
    """Return the newest mail of that subject for a recipient on the mailbox host, or None."""
    status, output = host.probe(
        "cd {folder} && ls -t | xargs grep -lFx {subject} | xargs grep -lFx {recipient}",
        folder="/srv/mail/received/new",
        subject=f"Subject: {subject}",
        recipient=f"Delivered-To: {recipient}",
    )
    if status != 0:
        return None
    return host.read("cat {file}", file=f"/srv/mail/received/new/{output.split()[0]}")
