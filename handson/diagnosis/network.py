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


def egress_closed(scene: Scene) -> str:
    if scene.talk(587, login=True).connected != "timed out" or port_closed(scene):
        return ""
    group = scene.cloud.names.client_group
    out = [rule for rule in scene.cloud.rules(group) if not rule.is_inbound]
    for rule in out:
        if rule.lets_out(587) and (
            covers(rule.source, scene.settings.server_ip)
            or rule.source == scene.cloud.names.server_group
        ):
            return ""
    return _("{client} → {server}:587 is dropped; outbound rules of {group}: {rules}").format(
        client=scene.settings.client_ip,
        server=scene.settings.server_ip,
        group=group,
        rules=listed([f"{rule.port} → {rule.source}" for rule in out]),
    )


def ipv6_only(scene: Scene) -> str:
    value = scene.survey.value("inet_protocols")
    if scene.submission.connected != "refused" or value.split() != ["ipv6"]:
        return ""
    return f"inet_protocols = {value}"


def postfix_stopped(scene: Scene) -> str:
    if scene.survey.is_running or scene.submission.connected != "refused":
        return ""
    if inet_interface_unknown(scene) or scene.survey.services_error:
        return ""  # that is why
    return _("no process of Postfix’s master runs on the server")


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
        "egress-closed",
        _("A connection to port 587 times out, and the server's group lets it in."),
        _("The client's own security group does not let it out to that port."),
        _(
            "In the outbound rules of the client's security group allow TCP 587 to the server "
            "(or, as EC2 does by default, all traffic)."
        ),
        "https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",
        egress_closed,
        link=Link.PACKET,
    ),
    Cause(
        "ipv6-only",
        _("Port 587 refuses the connection, while Postfix runs."),
        _("Postfix listens on IPv6 only; the client comes over IPv4."),
        "sudo postconf -e inet_protocols=all; {restart}",
        f"{POSTCONF}#inet_protocols",
        ipv6_only,
        link=Link.LISTENS,
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
        is_state=True,
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
    Cause(
        "postfix-stopped",
        _("Ports 25 and 587 refuse the connection."),
        _("Postfix does not run."),
        _("{restart}; where it ends again at once, its log tells why."),
        "https://www.postfix.org/postfix.1.html",
        postfix_stopped,
        link=Link.LISTENS,
    ),
)
