"""Causes between the client and the port: the security group and the addresses listened on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handson.cloud.security_groups import covers
from handson.diagnosis.cause import (
    POSTCONF,
    RESTART,
    Cause,
    Link,
    listed,
    logged,
    on_server,
    words_of,
)
from handson.diagnosis.fault import RESTART_SH, Fault, Part, in_main_cf
from handson.i18n import N_, _
from handson.mail.postfix import MASTER_CF

if TYPE_CHECKING:
    from handson.mail.observation import Observation


def port_closed(observed: Observation) -> str:
    if observed.talk(587, login=True).connected != "timed out":
        return ""
    rules = observed.cloud.rules(observed.cloud.names.server_group)
    for rule in rules:
        from_client = rule.source == observed.cloud.names.client_group or covers(
            rule.source, observed.settings.client_ip
        )
        if rule.opens(587) and from_client:
            return ""
    return _("{server}:587 does not answer; inbound rules: {rules}").format(
        server=observed.settings.server_ip,
        rules=listed([f"{rule.port} ← {rule.source}" for rule in rules if rule.is_inbound]),
    )


def egress_closed(observed: Observation) -> str:
    if observed.talk(587, login=True).connected != "timed out" or port_closed(observed):
        return ""
    group = observed.cloud.names.client_group
    out = [rule for rule in observed.cloud.rules(group) if not rule.is_inbound]
    for rule in out:
        if rule.lets_out(587) and (
            covers(rule.source, observed.settings.server_ip)
            or rule.source == observed.cloud.names.server_group
        ):
            return ""
    return _("{client} → {server}:587 is dropped; outbound rules of {group}: {rules}").format(
        client=observed.settings.client_ip,
        server=observed.settings.server_ip,
        group=group,
        rules=listed([f"{rule.port} → {rule.source}" for rule in out]),
    )


def ipv6_only(observed: Observation) -> str:
    value = observed.survey.value("inet_protocols")
    if observed.submission.connected != "refused" or value.split() != ["ipv6"]:
        return ""
    return f"inet_protocols = {value}"


def postfix_stopped(observed: Observation) -> str:
    if observed.survey.is_running or observed.submission.connected != "refused":
        return ""
    if inet_interface_unknown(observed) or observed.survey.services_error:
        return ""  # that is why
    if _start_failed(observed):
        return ""  # its own words say why
    return _("no process of Postfix’s master runs on the server")


def _start_failed(observed: Observation) -> bool:
    """Return whether a start that Postfix gave up is the newest thing that it tells of itself."""
    for entry in reversed(observed.recent):
        if entry.text.startswith(("terminating on signal", "daemon started", "stopping the")):
            return False
        if entry.text.startswith(("fatal:", "panic:")) and "mail system is" not in entry.text:
            return True
    return False


def _named(observed: Observation) -> list[str]:
    return words_of(observed.survey.value("inet_interfaces"))


def inet_interface_unknown(observed: Observation) -> str:
    own = observed.survey.addresses
    for name in _named(observed):
        if name[0].isdigit() and own and name not in own:
            line = logged(observed, "no local interface found")
            value = _("inet_interfaces = {name}; the host has {addresses}").format(
                name=name, addresses=listed(own)
            )
            return line or value
    return ""


def loopback_only(observed: Observation) -> str:
    survey = observed.survey
    if not survey.is_running or survey.is_open(587):
        return ""
    if name := _own_address(observed):
        return f"/etc/postfix/master.cf: {name} inet"
    if survey.is_open(25):
        return ""
    bound = survey.sockets(587) or survey.sockets(25)
    loopback = [name for name in _named(observed) if name in ("localhost", "loopback-only")]
    loopback += [name for name in _named(observed) if name.startswith("127.")]
    if not bound and not loopback:
        return ""
    return _("inet_interfaces = {value}; Postfix listens at {sockets}").format(
        value=survey.value("inet_interfaces"), sockets=listed(bound)
    )


EVERYWHERE = on_server("sudo postconf -e inet_interfaces=all", RESTART)


def _own_address(observed: Observation) -> str:
    """Return the name of the submission service where it names a loopback address, or ''."""
    service = observed.survey.submission
    return service.name if service and service.name.startswith(("127.", "localhost:")) else ""


def listen_to_others(observed: Observation) -> list[str]:
    """Return the commands that have Postfix listen at the host's own address."""
    if name := _own_address(observed):
        port = name.rpartition(":")[2]
        edit = f"s/^{re.escape(name)}([[:space:]])/{port}\\1/"
        return on_server(f"sudo sed -i -E '{edit}' {MASTER_CF}", RESTART)
    return EVERYWHERE


CAUSES = (
    Cause(
        "port-closed",
        N_("A connection to port 587 times out."),
        N_("The security group has no inbound rule for TCP 587 that holds the client."),
        N_(
            "Add to the inbound rules of the security group {server_group}: Custom TCP, port 587, "
            "source {vpc_cidr}. The notebook 01_security_group does this."
        ),
        "https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",
        port_closed,
        link=Link.PACKET,
        port=587,
        fault=Fault(
            N_("the security group keeps port 587 closed"), server=Part(), closes_port=True
        ),
    ),
    Cause(
        "egress-closed",
        N_("A connection to port 587 times out, and the server's group lets it in."),
        N_("The client's own security group does not let it out to that port."),
        N_(
            "Add to the outbound rules of the security group {client_group}: Custom TCP, port 587, "
            "destination {vpc_cidr} (or, as in a new group of EC2, all traffic to 0.0.0.0/0)."
        ),
        "https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",
        egress_closed,
        link=Link.PACKET,
    ),
    Cause(
        "ipv6-only",
        N_("Port 587 refuses the connection, while Postfix runs."),
        N_("Postfix listens on IPv6 only; the client comes over IPv4."),
        "",
        f"{POSTCONF}#inet_protocols",
        ipv6_only,
        link=Link.LISTENS,
        commands=on_server("sudo postconf -e inet_protocols=all", RESTART),
    ),
    Cause(
        "inet-interface-unknown",
        N_("Postfix does not start; the log says that no local interface was found."),
        N_(
            "inet_interfaces names an address that no interface of the host has. "
            "A public address of EC2 is not on the host: AWS translates it."
        ),
        "",
        f"{POSTCONF}#inet_interfaces",
        inet_interface_unknown,
        link=Link.LISTENS,
        commands=EVERYWHERE,
        is_state=True,
        fault=in_main_cf(
            N_("inet_interfaces names an address that the host does not have"),
            # An address reserved for documentation (RFC 5737), as a public one would be.
            "inet_interfaces=192.0.2.25",
            RESTART_SH,
        ),
    ),
    Cause(
        "loopback-only",
        N_("Other hosts are refused, while the server itself reaches the port."),
        N_("Postfix listens on loopback only (inet_interfaces, or an address in master.cf)."),
        "",
        f"{POSTCONF}#inet_interfaces",
        loopback_only,
        link=Link.LISTENS,
        commands=listen_to_others,
        fault=in_main_cf(
            N_("Postfix listens on loopback only"),
            "inet_interfaces=loopback-only",
            RESTART_SH,
        ),
    ),
    Cause(
        "postfix-stopped",
        N_("Ports 25 and 587 refuse the connection."),
        N_("Postfix does not run."),
        N_("Start it. If it ends again at once, its log says why."),
        "https://www.postfix.org/postfix.1.html",
        postfix_stopped,
        link=Link.LISTENS,
        commands=on_server(RESTART),
    ),
)
