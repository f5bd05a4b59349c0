"""Causes behind the relay: the way out of EC2, and where the log is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from handson.diagnosis.cause import Cause, Link
from handson.diagnosis.fault import Fault, Part
from handson.hosts.systems import AMAZON_LINUX_2, AMAZON_LINUX_2023
from handson.i18n import N_, _
from handson.mail.log import moment

if TYPE_CHECKING:
    from handson.mail.observation import Scene


def port_25_blocked(scene: Scene) -> str:
    for message in reversed(scene.messages):
        if message.deliveries:
            last = message.deliveries[-1]
            blocked = last.status == "deferred" and ":25: Connection timed out" in last.reason
            return f"{message.queue_id}: status=deferred ({last.reason})" if blocked else ""
    return ""


def log_not_written(scene: Scene) -> str:
    """Look for the dialogue that was just held: where it is not in the log, nothing can be."""
    if not scene.submission.banner or no_maillog(scene):
        return ""
    client = f"[{scene.settings.client_ip}]"
    now = datetime.fromisoformat(scene.server.read("date --iso-8601=seconds").strip())
    for entry in reversed(scene.recent):
        if client in entry.text and abs(now - moment(entry, now)) < timedelta(minutes=3):
            return ""
    source = scene.server.system.log_source
    text = _("the dialogue that was held just now is not in {log}").format(log=source)
    elsewhere = scene.survey.value("maillog_file")
    return f"{text}; maillog_file = {elsewhere}" if elsewhere else text


def read_elsewhere(scene: Scene) -> str:
    """Return where the log can be read meanwhile."""
    if elsewhere := scene.survey.value("maillog_file"):
        return _(
            "Read it there: sudo tail -n 40 {file}. For the course: sudo postconf -X maillog_file; "
            "{restart}"
        ).format(file=elsewhere, restart="sudo systemctl restart postfix")
    return _(
        "Read the journal: sudo journalctl --no-pager -t postfix/smtpd -t postfix/smtp | tail. "
        "Have the file written again: sudo systemctl restart rsyslog"
    )


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
        N_("The mail stays in the queue: connect to …:25: Connection timed out."),
        N_("EC2 closes outbound port 25 to the Internet until AWS lifts the block."),
        N_("Relay through Amazon SES on port 587 (relayhost), or ask AWS to open port 25."),
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-resource-limits.html#port-25-throttle",
        port_25_blocked,
        link=Link.DELIVERY,
        # Elsewhere nobody has closed the port for all.
        arises=lambda system: system in (AMAZON_LINUX_2, AMAZON_LINUX_2023),
    ),
    Cause(
        "log-not-written",
        N_("What was done just now is not in the mail log."),
        N_("Postfix works, and at this moment nothing of it is written there."),
        read_elsewhere,
        "https://www.postfix.org/MAILLOG_README.html",
        log_not_written,
        link=Link.LOG,
        is_state=True,
    ),
    Cause(
        "no-maillog",
        N_("There is no /var/log/maillog or /var/log/mail.log."),
        N_("No rsyslog runs that would write it; the mail log is in the journal."),
        N_(
            "Read it there: sudo journalctl --no-pager -t postfix/smtpd -t postfix/smtp; or "
            "have the file written: sudo {install} rsyslog; sudo systemctl enable --now rsyslog"
        ),
        "https://www.freedesktop.org/software/systemd/man/latest/journalctl.html",
        no_maillog,
        link=Link.LOG,
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
