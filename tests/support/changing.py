"""For tests: changes on the hosts of a finished course, and everything put back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from finished import Finished

from handson.diagnosis import injection
from handson.diagnosis.fault import AGED, MAIL_FILES, RELOAD_SH, Part

MAIN, MASTER = "/etc/postfix/main.cf", "/etc/postfix/master.cf"


@contextmanager
def changed(
    finished: Finished, *, server: Part | None = None, client: Part | None = None
) -> Iterator[None]:
    """Make a change, and put everything back as it was."""
    step = finished.step
    here = [(h, p) for h, p in ((step.server, server), (step.client, client)) if p]
    for host, part in here:
        injection.keep(host, "test", part)
    try:
        for host, part in here:
            injection.change(step.observe(), host, part)
        yield
    finally:
        for host, part in reversed(here):
            injection.restore(step.observe(), host, "test", part)


Change = Callable[[Finished], AbstractContextManager[None]]


def on_server(script: str, *files: str, after: str = RELOAD_SH) -> Change:
    part = Part((MAIN, MASTER, *files), script + "\n" + AGED + after, after=after)
    return lambda finished: changed(finished, server=part)


def in_mailrc(text: str) -> Change:
    return lambda finished: changed(finished, client=Part(MAIL_FILES, mailrc=text))
