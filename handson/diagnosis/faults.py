"""Faults for practice: planted on the hosts, and mended exactly as it was before.

What a fault changes is kept aside on the host under `/var/lib/smtp-handson/faults/ID`, so
that a later run, or another machine, can mend it. One at a time.

    scene = step.scene()
    fault = draw(random.Random(), scene)
    plant(scene, fault.id)
    …
    mend(step.scene())
"""

from __future__ import annotations

import random

from handson.diagnosis import faults_firewall, injection
from handson.diagnosis.chain import cause, diagnose
from handson.diagnosis.fault import Fault
from handson.diagnosis.faults_client import CLIENT_FAULTS
from handson.diagnosis.faults_server import SERVER_FAULTS
from handson.errors import CommandFailed, HandsonError
from handson.i18n import _
from handson.mail.observation import Scene

__all__ = [
    "FAULTS",
    "Fault",
    "draw",
    "fault",
    "how_to_mend",
    "is_recognised",
    "mend",
    "plant",
    "planted",
    "settle",
]

FAULTS: tuple[Fault, ...] = (faults_firewall.PORT_CLOSED, *SERVER_FAULTS, *CLIENT_FAULTS)


def fault(id: str) -> Fault:
    """Return the fault of that id; raise HandsonError when there is none.

    >>> fault("sasldb-permission").title
    'smtpd cannot read sasldb'
    """
    for one in FAULTS:
        if one.id == id:
            return one
    raise HandsonError(
        _("There is no fault “{id}”.").format(id=id),
        _("The faults are: {ids}.").format(ids=", ".join(one.id for one in FAULTS)),
    )


def draw(chance: random.Random, scene: Scene) -> Fault:
    """Return a fault that can arise on the server's system, chosen by chance."""
    here = scene.server.system.id
    return chance.choice([one for one in FAULTS if here in one.systems])


def planted(scene: Scene) -> list[str]:
    """Return the ids of the faults that are planted: one, or none."""
    found = {id for host in (scene.server, scene.client) for id in injection.kept(host)}
    return [one.id for one in FAULTS if one.id in found]


def plant(scene: Scene, id: str) -> Fault:
    """Plant a fault; what is there now is kept aside. Nothing is written to the command log.

    Raises HandsonError, and changes nothing, when one is planted already, or when this
    one cannot arise here.
    """
    chosen = fault(id)
    if planted(scene):
        # Its name is not told: it may have been drawn, for somebody to find out.
        raise HandsonError(
            _("A fault is planted already."), _("Mend it first: `handson break --mend`.")
        )
    system = scene.server.system
    if system.id not in chosen.systems:
        raise HandsonError(
            _("The fault {id} cannot arise on {system}.").format(id=id, system=system.name),
            _("Choose another: `handson break --list`."),
        )
    note = faults_firewall.rules_to_close(scene) if chosen.closes_port else ""
    for host, part in chosen.parts(scene):
        injection.keep(host, id, part, note if host is scene.server else "")
    try:
        if chosen.closes_port:
            faults_firewall.close(scene, note)
        for host, part in chosen.parts(scene):
            injection.change(scene, host, part)
    except HandsonError:
        mend(scene, id)
        raise
    return chosen


def mend(scene: Scene, id: str = "") -> Fault:
    """Put back what the planted fault changed; raise HandsonError when none is planted."""
    here = planted(scene)
    if (id and id not in here) or not here:
        raise HandsonError(
            _("The fault {id} is not planted.").format(id=id) if id else _("No fault is planted."),
            _("Plant one: `handson break`."),
        )
    chosen = fault(id or here[0])
    if chosen.closes_port:
        faults_firewall.reopen(scene, injection.note(scene.server, chosen.id))
    # The client first: the server's reload is the last thing that the log shows.
    for host, part in reversed(chosen.parts(scene)):
        injection.restore(scene, host, chosen.id, part)
    return chosen


def settle(scene: Scene, id: str) -> Fault:
    """Forget what was kept aside: the learner has mended the fault without us."""
    chosen = fault(id)
    for host, _part in chosen.parts(scene):
        injection.forget(host, id)
    return chosen


def is_recognised(scene: Scene, id: str) -> bool:
    """Tell whether the diagnosis still finds this fault (use a fresh scene)."""
    return bool(diagnose(scene, [id]))


def how_to_mend(scene: Scene, id: str) -> str:
    """Return what is wrong and how it is mended by hand; to be told only when asked for."""
    known = cause(fault(id).id)
    try:
        cure = known.cure_for(scene)
    except CommandFailed:
        cure = known.cure
    return f"{known.cause}\n{cure}"
