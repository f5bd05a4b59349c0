"""Faults for practice: injected on the hosts, and everything put back exactly as it was before.

What a fault changes is kept aside on the host under `/var/lib/smtp-handson/faults/ID`, so
that a later run, or another machine, can fix it. One at a time.

    observed = step.observe()
    fault = draw(random.Random(), observed)
    inject(observed, fault.id)
    …
    fix(step.observe())
"""

from __future__ import annotations

import random

from handson.diagnosis import injection
from handson.diagnosis.cause import Cause
from handson.diagnosis.chain import CAUSES, cause, diagnose
from handson.diagnosis.fault import Fault
from handson.errors import CommandFailed, HandsonError
from handson.i18n import _
from handson.mail.observation import Observation

FAULTS: tuple[Cause, ...] = tuple(one for one in CAUSES if one.fault)


def fault(id: str) -> Fault:
    """Return what brings that cause about; raise HandsonError when nothing here does.

    >>> fault("sasldb-permission").title
    'smtpd cannot read sasldb'
    """
    for one in FAULTS:
        if one.id == id and one.fault:
            return one.fault
    raise HandsonError(
        _("There is no fault “{id}”.").format(id=id),
        _("The faults are: {ids}.").format(ids=", ".join(one.id for one in FAULTS)),
    )


def here(observed: Observation) -> list[Cause]:
    """Return what can be injected on these hosts: some faults need a system, one the AWS API."""
    system = observed.server.system
    has_api = observed.hosts.target.connection is not None
    return [
        one
        for one in FAULTS
        if one.arises(system)
        and fault(one.id).arises(system)
        and (has_api or not fault(one.id).closes_port)
    ]


def draw(chance: random.Random, observed: Observation) -> str:
    """Return the id of a fault that can arise on the server's system, chosen by chance."""
    return chance.choice(here(observed)).id


def usual(observed: Observation) -> str:
    """Return the id of the fault for a run that nobody watches: the same each time."""
    ids = {one.id for one in here(observed)}
    return next(id for id in ("chrooted-smtpd", "submission-off") if id in ids)


def injected(observed: Observation) -> list[str]:
    """Return the ids of the faults that are injected: one, or none."""
    found = {id for host in (observed.server, observed.client) for id in injection.kept(host)}
    return [one.id for one in FAULTS if one.id in found]


def inject(observed: Observation, id: str) -> None:
    """Inject a fault; what is there now is kept aside. Nothing is written to the command log.

    Raises HandsonError, and changes nothing, when one is injected already, or when this
    one cannot arise here.
    """
    chosen = fault(id)
    if injected(observed):
        # Its name is not told: it may have been drawn, for somebody to find out.
        raise HandsonError(
            _("A fault is injected already."), _("Fix it first: `handson break --fix`.")
        )
    if id not in {one.id for one in here(observed)}:
        where = _("{system}, target {target}").format(
            system=observed.server.system.name, target=observed.hosts.target.name
        )
        raise HandsonError(
            _("The fault {id} cannot arise here ({where}).").format(id=id, where=where),
            _("Choose another: `handson break --list`."),
        )
    note = injection.rules_to_close(observed) if chosen.closes_port else ""
    for host, part in chosen.parts(observed):
        injection.keep(host, id, part, note if host is observed.server else "")
    try:
        if chosen.closes_port:
            injection.close_port(observed, note)
        for host, part in chosen.parts(observed):
            injection.change(observed, host, part)
    except HandsonError:
        fix(observed, id)
        raise


def fix(observed: Observation, id: str = "") -> str:
    """Put back what the injected fault changed and return its id; HandsonError without one."""
    there = injected(observed)
    if (id and id not in there) or not there:
        raise HandsonError(
            _("The fault {id} is not injected.").format(id=id)
            if id
            else _("No fault is injected."),
            _("Inject one: `handson break`."),
        )
    id = id or there[0]
    chosen = fault(id)
    if chosen.closes_port:
        injection.reopen_port(observed, injection.note(observed.server, id))
    # The client first: the server's reload is the last thing that the log shows.
    for host, part in reversed(chosen.parts(observed)):
        injection.restore(observed, host, id, part)
    return id


def settle(observed: Observation, id: str) -> None:
    """Forget what was kept aside: the learner has fixed the fault without us."""
    for host, _part in fault(id).parts(observed):
        injection.forget(host, id)


def is_recognised(observed: Observation, id: str) -> bool:
    """Return whether the diagnosis still finds this fault (use a fresh observation)."""
    return bool(diagnose(observed, [id]))


def how_to_fix(observed: Observation, id: str) -> str:
    """Return what is wrong and how it is fixed by hand; to be told only when asked for."""
    known = cause(id)
    try:
        cure = known.cure_for(observed)
    except CommandFailed:
        cure = known.cure if isinstance(known.cure, str) else ""
    return f"{known.cause}\n{cure}"
