"""What is wrong, and how it is known: the causes of the course, and those that are recognised.

Recognising only reads: state, log, and SMTP dialogues that end after RCPT.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from handson.diagnosis import client, database, delivery, network, restrictions, sasl, services, tls
from handson.diagnosis.cause import Cause, Diagnosis
from handson.errors import HandsonError, HostUnreachable
from handson.i18n import _

if TYPE_CHECKING:
    from handson.mail.observation import Scene

__all__ = ["CAUSES", "Cause", "Diagnosis", "cause", "diagnose", "reach"]

# From the first link of the chain to the last: while a packet does not arrive, nothing that
# comes later can be the cause of anything, and what is proven by state goes before what
# is left over.
ORDER = (
    "port-closed",
    "option-in-column-1",
    "inet-interface-unknown",
    "loopback-only",
    "submission-off",
    "space-in-option",
    "smtpd-conf-syntax",
    "no-mechanisms",
    "noplaintext",
    "tls-unavailable",
    "auth-not-offered",
    "unknown-verifier",
    "saslauthd-denied",
    "saslauthd-absent",
    "sasldb-missing",
    "sasldb-corrupt",
    "sasldb-permission",
    "chrooted-smtpd",
    "wrong-password",
    "smtpd-conf-ignored",
    "map-type",
    "relay-denied-authenticated",
    "starttls-required",
    "tls-untrusted",
    "v15-credentials",
    "login-mechanism",
    "bad-base64",
    "client-rejected",
    "relay-denied",
    "port-25-blocked",
    "no-maillog",
)
_AREAS = (network, services, sasl, database, tls, restrictions, client, delivery)
_BY_ID: dict[str, Cause] = {one.id: one for area in _AREAS for one in area.CAUSES}
CAUSES: tuple[Cause, ...] = tuple(_BY_ID[id] for id in ORDER)


def cause(id: str) -> Cause:
    """Return the cause of that id; raise HandsonError when there is none.

    >>> cause("port-closed").seen
    'A connection to port 587 times out.'
    """
    if id in _BY_ID:
        return _BY_ID[id]
    raise HandsonError(
        _("There is no cause “{id}”.").format(id=id),
        _("The causes are: {ids}.").format(ids=", ".join(ORDER)),
    )


def reach(scene: Scene) -> None:
    """Raise HostUnreachable unless every host answers: without it nothing is recognised."""
    target = scene.hosts.target
    if away := target.away():
        raise HostUnreachable(
            _("Not all hosts run: {hosts}.").format(hosts=", ".join(away)), target.how_to_start
        )
    for host in (scene.server, scene.client):
        host.read("true")


def diagnose(
    scene: Scene, among: Iterable[str] = ORDER, limit: int | None = None
) -> list[Diagnosis]:
    """Return the causes that are recognised, the surest first; at most `limit` of them.

    Nothing is changed. A cause that cannot be looked at (a host that does not answer) is
    not recognised.
    """
    wanted = set(among)
    found: list[Diagnosis] = []
    for one in CAUSES:
        if one.id not in wanted or len(found) == limit:
            continue
        try:
            if scene.server.system.id not in one.systems:
                continue
            evidence = one.recognise(scene)
            if evidence:
                found.append(
                    Diagnosis(one.id, evidence, one.cause, one.cure_for(scene), one.manual)
                )
        except HandsonError:
            continue
    return found
