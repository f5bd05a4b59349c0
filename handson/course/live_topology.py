"""The picture of where the learner is, drawn from what hosts and cloud say at this moment."""

from __future__ import annotations

from typing import Any

from handson.cloud.targets import Target
from handson.course.checks import Scene
from handson.errors import HandsonError
from handson.i18n import _
from handson.mail.smtp import Dialogue
from handson.ui.topology import Topology, Way
from handson.ui.view import Table, View


def draw(scene: Scene, target: Target, focus: str = "") -> View:
    """Return the picture, with the ports as the client finds them; hosts may be missing.

    Of hosts whose network the course did not make it knows no picture: a table tells the rest.
    """
    if not target.makes_hosts:
        return _table(scene)
    settings = scene.settings
    known: dict[str, Any] = {
        "pc": settings.own_ip,
        "recipient": settings.recipient,
        "mailbox": target.mailbox.address if target.mailbox else "",
        "network": settings.vpc_cidr,
        "focus": focus,
    }
    server = scene.cloud.instance(scene.cloud.names.server)
    client = scene.cloud.instance(scene.cloud.names.client)
    if server is None or client is None:
        return Topology(**known)
    ports = [rule.port for rule in scene.cloud.rules() if rule.is_inbound]
    ways: dict[str, Any] = {}
    try:
        trusts = _("mynetworks: {networks}").format(networks=" ".join(scene.postfix.mynetworks))
        ways = {
            "port_25": way(scene.relay),
            "port_587": way(scene.anonymous),
        }
    except HandsonError:
        trusts = ""
    return Topology(
        **known,
        **ways,
        server_public=server.public_ip,
        server_private=server.private_ip,
        client_private=client.private_ip,
        group=scene.cloud.names.server_group,
        lets_in=", ".join(sorted(set(ports), key=_by_number)),
        trusts=trusts,
    )


def _table(scene: Scene) -> Table:
    def row(port: int, found: Way) -> list[str]:
        ends = (scene.settings.client_ip, scene.settings.server_ip)
        return [
            _("client {client} → server {server}").format(client=ends[0], server=ends[1]),
            str(port),
            found.state,
        ]

    rows = [row(25, way(scene.relay)), row(587, way(scene.anonymous))]
    title = _("mynetworks: {networks}").format(networks=" ".join(scene.postfix.mynetworks))
    return Table([_("way"), _("port"), _("state")], rows, title=title)


def way(dialogue: Dialogue) -> Way:
    """Return how a port looks to a client that has not logged in."""
    if dialogue.connected == "refused":
        return Way(_("refused: nothing listens"), "warn", "server")
    if not dialogue.is_open:
        return Way(_("no answer: closed on the way"), "bad", "group")
    if dialogue.is_accepted:
        return Way(_("relays without login"), "warn")
    if dialogue.mechanisms:
        return Way(_("asks for a login"), "good")
    return Way(_("does not relay"), "quiet", "server")


def _by_number(port: str) -> int:
    first = port.partition("-")[0]
    return int(first) if first.isdigit() else 0
