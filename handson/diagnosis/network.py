"""Causes between the client and the port: the security group and the addresses listened on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handson.cloud.security_groups import covers
from handson.diagnosis.cause import POSTCONF, Cause, Link, listed, logged
from handson.diagnosis.fault import RESTART, Fault, Part, in_main_cf
from handson.i18n import _

if TYPE_CHECKING:
    from handson.mail.observation import Scene


def port_closed(scene: Scene) -> str:
    if scene.talk(587, login=True).connected != "timed out":
        return ""
    rules = scene.cloud.rules(scene.cloud.names.server_group)
    for rule in rules:
        from_client = rule.source == scene.cloud.names.client_group or covers(
            rule.source, scene.settings.client_ip
        )
        if rule.opens(587) and from_client:
            return ""
    return _("{server}:587 does not answer; inbound rules: {rules}").format(
        server=scene.settings.server_ip,
        rules=listed([f"{rule.port} ← {rule.source}" for rule in rules if rule.is_inbound]),
    )


def _named(scene: Scene) -> list[str]:
    return scene.survey.value("inet_interfaces").replace(",", " ").split()


def inet_interface_unknown(scene: Scene) -> str:
    own = scene.survey.addresses
    for name in _named(scene):
        if name[0].isdigit() and own and name not in own:
            line = logged(scene, "no local interface found")
            value = _("inet_interfaces = {name}; the host has {addresses}").format(
                name=name, addresses=listed(own)
            )
            return line or value
    return ""


def loopback_only(scene: Scene) -> str:
    survey = scene.survey
    if not survey.is_running or survey.is_open(587) or survey.is_open(25):
        return ""
    bound = survey.sockets(587) or survey.sockets(25)
    loopback = [name for name in _named(scene) if name in ("localhost", "loopback-only")]
    loopback += [name for name in _named(scene) if name.startswith("127.")]
    if not bound and not loopback:
        return ""
    return _("inet_interfaces = {value}; Postfix listens at {sockets}").format(
        value=survey.value("inet_interfaces"), sockets=listed(bound)
    )


CAUSES = (
    Cause(
        "port-closed",
        _("A connection to port 587 times out."),
        _("The security group has no inbound rule for TCP 587 that holds the client."),
        _(
            "In the server's security group add: Custom TCP, port 587, source the VPC's CIDR. "
            "Or run 01_security_group."
        ),
        "https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",
        port_closed,
        link=Link.PACKET,
        port=587,
        fault=Fault(_("the security group keeps port 587 shut"), server=Part(), closes_port=True),
    ),
    Cause(
        "inet-interface-unknown",
        _("Postfix does not start; the log says that no local interface was found."),
        _(
            "inet_interfaces names an address that no interface of the host has. "
            "A public address of EC2 is not on the host: AWS translates it."
        ),
        "sudo postconf -e inet_interfaces=all; {restart}",
        f"{POSTCONF}#inet_interfaces",
        inet_interface_unknown,
        link=Link.LISTENS,
        fault=in_main_cf(
            _("inet_interfaces names an address that the host does not have"),
            # An address reserved for documentation (RFC 5737), as a public one would be.
            "inet_interfaces=192.0.2.25",
            RESTART,
        ),
    ),
    Cause(
        "loopback-only",
        _("Other hosts are refused, while the server itself reaches the port."),
        _("Postfix listens on loopback only (inet_interfaces)."),
        "sudo postconf -e inet_interfaces=all; {restart}",
        f"{POSTCONF}#inet_interfaces",
        loopback_only,
        link=Link.LISTENS,
        fault=in_main_cf(
            _("Postfix listens on loopback only"),
            "inet_interfaces=loopback-only",
            RESTART,
        ),
    ),
)
