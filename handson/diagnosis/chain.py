"""What is wrong, and how it is known: the causes of the course, and those that are recognised.

Recognising only reads: state, log, and SMTP dialogues that end after RCPT.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from handson.diagnosis import client, database, delivery, network, restrictions, sasl, services, tls
from handson.diagnosis.cause import Cause, Diagnosis, Link
from handson.errors import HandsonError, HostUnreachable
from handson.i18n import _

if TYPE_CHECKING:
    from handson.mail.observation import Observation

__all__ = ["CAUSES", "Cause", "Diagnosis", "Link", "cause", "diagnose", "reach", "up_to"]

# In the order in which they are looked for where they stand at the same link.
_AREAS = (network, tls, sasl, services, database, client, restrictions, delivery)
# From the first link of the chain to the last: while a packet does not arrive, nothing that
# comes later can be the cause of anything, and what is proven by state goes before what
# is left over.
CAUSES: tuple[Cause, ...] = tuple(
    sorted((one for area in _AREAS for one in area.CAUSES), key=lambda one: one.link)
)
_BY_ID = {one.id: one for one in CAUSES}


LOG = tuple(one.id for one in CAUSES if one.link == Link.LOG)


def up_to(link: Link, port: int = 587) -> tuple[str, ...]:
    """Return the ids of what may be wrong with a port up to a link of the chain.

    >>> up_to(Link.PACKET)
    ('port-closed', 'egress-closed')
    """
    return tuple(one.id for one in CAUSES if one.link <= link and one.port in (0, port))


def cause(id: str) -> Cause:
    """Return the cause of that id; raise HandsonError when there is none.

    >>> cause("port-closed").seen
    'A connection to port 587 times out.'
    """
    if id in _BY_ID:
        return _BY_ID[id]
    raise HandsonError(
        _("There is no cause “{id}”.").format(id=id),
        _("The causes are: {ids}.").format(ids=", ".join(_BY_ID)),
    )


def reach(observed: Observation) -> None:
    """Raise HostUnreachable unless every host answers: without it nothing is recognised."""
    target = observed.hosts.target
    if away := target.away():
        raise HostUnreachable(
            _("Not all hosts run: {hosts}.").format(hosts=", ".join(away)), target.how_to_start
        )
    for host in (observed.server, observed.client):
        host.read("true")


def diagnose(
    observed: Observation, among: Iterable[str] | None = None, limit: int | None = None
) -> list[Diagnosis]:
    """Return the causes that are recognised, the surest first; at most `limit` of them.

    Nothing is changed. A cause that cannot be looked at (a host that does not answer) is
    not recognised.
    """
    wanted = set(_BY_ID if among is None else among)
    found: list[Diagnosis] = []
    for one in CAUSES:
        if one.id not in wanted or len(found) == limit:
            continue
        try:
            if not one.arises(observed.server.system):
                continue
            evidence = one.recognise(observed)
            if evidence:
                found.append(
                    Diagnosis(one.id, evidence, one.cause, one.cure_for(observed), one.manual)
                )
        except HandsonError:
            continue
    return found
