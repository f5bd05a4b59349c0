"""Causes behind the relay: the way out of EC2, and where the log is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handson.diagnosis.cause import Cause, Link
from handson.diagnosis.fault import Fault, Part
from handson.hosts.systems import AMAZON_LINUX_2, AMAZON_LINUX_2023
from handson.i18n import _

if TYPE_CHECKING:
    from handson.mail.observation import Scene


def port_25_blocked(scene: Scene) -> str:
    for message in reversed(scene.messages):
        if message.deliveries:
            last = message.deliveries[-1]
            blocked = last.status == "deferred" and ":25: Connection timed out" in last.reason
            return f"{message.queue_id}: status=deferred ({last.reason})" if blocked else ""
    return ""


def no_maillog(scene: Scene) -> str:
    system = scene.server.system
    if scene.survey.lines("logs"):
        return ""
    if system.log_file:
        return _("{path} is not there").format(path=system.log_file)
    if scene.entries:
        return ""  # the journal has it, where this system keeps it
    return _("no /var/log/maillog, and nothing in the journal of postfix")


CAUSES = (
    Cause(
        "port-25-blocked",
        _("The mail stays in the queue: connect to …:25: Connection timed out."),
        _("EC2 closes outbound port 25 to the Internet until AWS lifts the block."),
        _("Relay through Amazon SES on port 587 (relayhost), or ask AWS to open port 25."),
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-resource-limits.html#port-25-throttle",
        port_25_blocked,
        link=Link.DELIVERY,
        # Elsewhere nobody has closed the port for all.
        arises=lambda system: system in (AMAZON_LINUX_2, AMAZON_LINUX_2023),
    ),
    Cause(
        "no-maillog",
        _("There is no /var/log/maillog or /var/log/mail.log."),
        _("No rsyslog runs that would write it; the mail log is in the journal."),
        _(
            "Read it there: sudo journalctl --no-pager -t postfix/smtpd -t postfix/smtp; or "
            "have the file written: sudo {install} rsyslog; sudo systemctl enable --now rsyslog"
        ),
        "https://www.freedesktop.org/software/systemd/man/latest/journalctl.html",
        no_maillog,
        link=Link.LOG,
        fault=Fault(
            _("nothing writes the mail log to a file"),
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
