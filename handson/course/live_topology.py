"""The picture of where the learner is, drawn from what hosts and cloud say at this moment."""

from __future__ import annotations

from typing import Any

from handson.cloud.targets import Target
from handson.course.checks import Observation
from handson.diagnosis.cause import Link
from handson.diagnosis.verdict import broken_at
from handson.errors import HandsonError
from handson.i18n import _
from handson.mail.smtp import IMPLICIT_TLS, Dialogue
from handson.ui.topology import Topology, Way
from handson.ui.view import Table, View


def draw(observed: Observation, target: Target, focus: str = "") -> View:
    """Return the picture, with the ports as the client finds them; hosts may be missing.

    Of hosts whose network the course did not make it knows no picture: a table tells the rest.
    """
    if not target.makes_hosts:
        return _table(observed)
    settings = observed.settings
    known: dict[str, Any] = {
        "pc": settings.own_ip,
        "recipient": settings.recipient,
        "mailbox": target.mailbox.address if target.mailbox else "",
        "network": settings.vpc_cidr,
        "focus": focus,
    }
    server = observed.cloud.instance(observed.cloud.names.server)
    client = observed.cloud.instance(observed.cloud.names.client)
    if server is None or client is None:
        return Topology(**known)
    open_ports = [rule.port for rule in observed.cloud.rules() if rule.is_inbound]
    found: dict[int, Way] = {}
    try:
        trusts = _("mynetworks: {networks}").format(networks=" ".join(observed.postfix.mynetworks))
        found = ways(observed)
    except HandsonError:
        trusts = ""
    return Topology(
        **known,
        ways=found,
        server_public=server.public_ip,
        server_private=server.private_ip,
        client_private=client.private_ip,
        group=observed.cloud.names.server_group,
        lets_in=", ".join(sorted(set(open_ports), key=_by_number)),
        trusts=trusts,
    )


def _table(observed: Observation) -> Table:
    ends = _("client {client} → server {server}").format(
        client=observed.settings.client_ip, server=observed.settings.server_ip
    )
    rows = [[ends, str(port), way.state] for port, way in ways(observed).items()]
    title = _("mynetworks: {networks}").format(networks=" ".join(observed.postfix.mynetworks))
    return Table([_("way"), _("port"), _("state")], rows, title=title)


def ways(observed: Observation) -> dict[int, Way]:
    """Return how each port looks to the client, by the tries that checks and diagnosis judge by.

    Port 465 is among them once the security group or the server opens it.
    """
    has_password = observed.password is not None
    logins = ("relay_login", "submission") if has_password else ()
    observed.read_ahead(("relay", "anonymous", *logins))
    found = {
        25: relay_way(observed.relay, observed.relay_login if has_password else None),
        587: login_way(observed.anonymous, observed.submission if has_password else None),
    }
    if observed.opens_submissions:
        anonymous = observed.talk(IMPLICIT_TLS, login=False)
        found[IMPLICIT_TLS] = login_way(anonymous, observed.submissions if has_password else None)
    return found


def relay_way(anonymous: Dialogue, login: Dialogue | None = None) -> Way:
    """Return how port 25 looks: it is there for mail to the server's own domain, not to relay."""
    if closed := _closed(anonymous):
        return closed
    if anonymous.is_accepted:
        return Way(_("relays without a login"), "warn")
    if login and login.is_logged_in and login.is_accepted:
        return Way(_("relays with a login"), "warn")
    if broken_at(anonymous, login=False):
        text = _("answers with an error: {code}")
        return Way(text.format(code=_code(anonymous)), "bad", "server")
    if login and login.is_logged_in:
        text = _("takes the login, refuses to relay: {code}")
        return Way(text.format(code=_code(login)), "warn", "server")
    if login is None and anonymous.mechanisms:
        return Way(_("offers a login, not tried yet"), "warn", "server")
    if login and login.mechanisms:
        text = _("offers a login, refuses it: {code}")
        return Way(text.format(code=_code(login)), "warn", "server")
    return Way(_("offers no login, does not relay"), "good", "server")


def login_way(anonymous: Dialogue, login: Dialogue | None = None) -> Way:
    """Return how a port looks that is there for those who log in."""
    if closed := _closed(anonymous):
        return closed
    if anonymous.is_accepted:
        return Way(_("relays without a login"), "warn")
    if login is None:
        return Way(_("no login tried yet"), "quiet", "server")
    link = broken_at(login)
    if link is None:
        text = (
            _("relays with a login, over TLS") if login.tls else _("relays with a login, in clear")
        )
        return Way(text, "good")
    if link == Link.RESTRICTIONS:
        return Way(
            _("takes the login, refuses to relay: {code}").format(code=_code(login)),
            "bad",
            "server",
        )
    if link == Link.LOGIN:
        return Way(_("refuses the login: {code}").format(code=_code(login)), "bad", "server")
    return Way(_("offers no AUTH PLAIN"), "bad", "server")


def _closed(dialogue: Dialogue) -> Way | None:
    """Return the way that a connection did not get through, or on which nothing was said."""
    if dialogue.connected == "refused":
        return Way(_("refused: nothing listens"), "bad", "server")
    if not dialogue.is_open:
        return Way(_("no answer: closed on the way"), "bad", "group")
    if dialogue.banner is None:
        return Way(_("connects, then no answer"), "bad", "server")
    return None


def _code(dialogue: Dialogue) -> str:
    return str(dialogue.refusal.code) if dialogue.refusal else dialogue.error


def _by_number(port: str) -> int:
    first = port.partition("-")[0]
    return int(first) if first.isdigit() else 0
