"""Causes behind the relay: the way out of EC2, name servers, and where the log is."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from handson.diagnosis.cause import RELOAD, RESTART, Cause, Link, on_server
from handson.diagnosis.fault import Fault, Part
from handson.hosts.systems import AMAZON_LINUX_2023
from handson.i18n import N_, _
from handson.mail.log import moment

if TYPE_CHECKING:
    from handson.mail.observation import Observation


def port_25_blocked(observed: Observation) -> str:
    for message in reversed(observed.messages):
        if message.deliveries:
            last = message.deliveries[-1]
            blocked = last.status == "deferred" and ":25: Connection timed out" in last.reason
            return f"{message.queue_id}: status=deferred ({last.reason})" if blocked else ""
    return ""


def name_not_found(observed: Observation) -> str:
    """Look at the last delivery: did it wait because a name server gave no answer?"""
    for message in reversed(observed.messages):
        if message.deliveries:
            last = message.deliveries[-1]
            failed = last.status == "deferred" and "Name service error" in last.reason
            if not failed:
                return ""
            servers = ", ".join(observed.survey.lines("resolvers"))
            return (
                f"{message.queue_id}: status=deferred ({last.reason})\n/etc/resolv.conf: {servers}"
            )
    return ""


def not_delivered(observed: Observation) -> str:
    """Look at the last delivery of what the client sent: what is not known is quoted."""
    is_blocked = observed.server.system == AMAZON_LINUX_2023 and port_25_blocked(observed)
    if is_blocked or name_not_found(observed):
        return ""
    client = f"[{observed.settings.client_ip}]"
    tried = [one for one in observed.messages if one.deliveries and client in one.client]
    if not tried or tried[-1].deliveries[-1].is_sent:
        return ""
    last = tried[-1].deliveries[-1]
    return f"{tried[-1].queue_id}: to=<{last.recipient}>, status={last.status} ({last.reason})"


def log_not_written(observed: Observation) -> str:
    """Look for the dialogue that was just held: where it is not in the log, nothing can be."""
    if not observed.submission.banner or no_maillog(observed):
        return ""
    system, elsewhere = observed.server.system, observed.survey.value("maillog_file")
    if elsewhere and elsewhere != system.log_file:
        return f"maillog_file = {elsewhere}"
    client = f"[{observed.settings.client_ip}]"
    now = datetime.fromisoformat(observed.server.read("date --iso-8601=seconds").strip())
    has_writer = bool(observed.survey.lines("writers")) or not system.log_file
    recently = timedelta(minutes=3) if has_writer else timedelta(seconds=20)
    for entry in reversed(observed.recent):
        if client in entry.text and abs(now - moment(entry, now)) < recently:
            return ""
    text = _("the dialogue that was held just now is not in {log}").format(log=system.log_source)
    return text if has_writer else text + _("; neither rsyslog nor syslog-ng runs")


def write_log(observed: Observation) -> list[str]:
    """Return the commands that show where the log is now, and have it written as before."""
    if elsewhere := observed.survey.value("maillog_file"):
        return on_server(
            f"sudo tail -n 40 {shlex.quote(elsewhere)}", "sudo postconf -X maillog_file", RESTART
        )
    if not observed.server.system.log_file:
        return on_server("sudo systemctl restart systemd-journald", RESTART)
    return on_server(JOURNAL, "sudo systemctl restart rsyslog")


def no_maillog(observed: Observation) -> str:
    system = observed.server.system
    # A writer that runs makes the file with its next line: it may just have been rotated.
    if observed.survey.lines("logs") or observed.survey.lines("writers"):
        return ""
    if system.log_file:
        return _("{path} is not there, and neither rsyslog nor syslog-ng runs").format(
            path=system.log_file
        )
    if observed.recent:
        return ""  # the journal has it, where this system keeps it
    return _("no /var/log/maillog, and nothing in the journal of postfix")


JOURNAL = "sudo journalctl --no-pager -t postfix/smtpd -t postfix/smtp -n 40"

CAUSES = (
    Cause(
        "port-25-blocked",
        N_("The message stays in the queue: connect to …:25: Connection timed out."),
        N_("EC2 blocks outbound port 25 to the Internet until AWS removes the block."),
        N_(
            "Ask AWS to remove the block, or relay through Amazon SES on port 587: relayhost, "
            "smtp_sasl_auth_enable, smtp_sasl_password_maps, smtp_sasl_security_options, "
            "smtp_tls_security_level=encrypt, and a sender address that SES has verified."
        ),
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-resource-limits.html#port-25-throttle",
        port_25_blocked,
        link=Link.DELIVERY,
        # Elsewhere nobody has closed the port for all.
        arises=lambda system: system == AMAZON_LINUX_2023,
    ),
    Cause(
        "name-not-found",
        N_("The message stays in the queue: Host or domain name not found, try again."),
        N_("No name server answered when Postfix asked for the recipient's mail server."),
        N_(
            "Name a resolver that answers in /etc/resolv.conf. Postfix has a copy of this file in "
            "its chroot, which it takes at its start. Then send what waits:"
        ),
        "https://www.postfix.org/DEBUG_README.html",
        name_not_found,
        link=Link.DELIVERY,
        commands=on_server(RESTART, "sudo postqueue -f"),
    ),
    Cause(
        "not-delivered",
        N_("The relay took the message, and its delivery failed: status=deferred or bounced."),
        N_("The reason is in brackets: the words of the next server, or of Postfix."),
        N_("Look at what waits. When the reason is gone, have it tried again: sudo postqueue -f"),
        "https://www.postfix.org/QSHAPE_README.html",
        not_delivered,
        link=Link.DELIVERY,
        commands=on_server("sudo postqueue -p"),
    ),
    Cause(
        "log-not-written",
        N_("What was done just now is not in the mail log."),
        N_("Postfix works, and at this moment nothing of it is written there."),
        N_("Read where the log is now; then have it written as before:"),
        "https://www.postfix.org/MAILLOG_README.html",
        log_not_written,
        link=Link.LOG,
        commands=write_log,
        is_state=True,
    ),
    Cause(
        "no-maillog",
        N_("There is no /var/log/maillog or /var/log/mail.log."),
        N_("No daemon runs that would write it; the mail log is in the journal."),
        N_("Read the journal; then have the file written. Its first line creates it:"),
        "https://www.freedesktop.org/software/systemd/man/latest/journalctl.html",
        no_maillog,
        link=Link.LOG,
        commands=on_server(
            JOURNAL,
            "sudo {install} rsyslog",
            "sudo systemctl enable rsyslog",
            "sudo systemctl restart rsyslog",
            RELOAD,
        ),
        fault=Fault(
            N_("nothing writes the mail log to a file"),
            Part(
                ("/var/log/mail.log",),
                "systemctl stop syslog.socket rsyslog 2>/dev/null || true\n"
                "rm -f /var/log/mail.log\n",
                after="systemctl start rsyslog\n",
            ),
            arises=lambda system: system.log_file == "/var/log/mail.log",
        ),
    ),
)
