"""Can one message be followed through the log from its login to its delivery?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, good, not_logged
from handson.course.log_window import let_count
from handson.course.step import Step
from handson.diagnosis.chain import LOG, Link, up_to
from handson.i18n import _
from handson.mail import server_log
from handson.mail.log import Message
from handson.mail.log_refusals import Refusal
from handson.mail.log_summary import LogSummary, Summary
from handson.mail.observation import Observation
from handson.mail.smtp import HELO
from handson.mail.timeline import MessageTimeline, RefusalTable
from handson.polling import wait_for

RULES = Rules()
# The most that is read of a log: some 250,000 lines.
SIZE = 32 << 20
# The step that sends what this one reads.
SENT = "06_mailx_test"
MANUAL = "https://www.postfix.org/postconf.5.html#maillog_file"


class LogCheck(Step):
    """Follow one message through the mail log, and find those who were refused."""

    slug = "07_log_check"
    title = _("Check the log")
    purpose = _("Follow one message through the mail log, and find those who were refused.")
    rules = RULES

    def timeline(self, message: Message) -> MessageTimeline:
        """Return a message of the log as a table and a time line, each field explained."""
        return MessageTimeline(message)

    def refusals(self) -> RefusalTable:
        """Return what the log says was refused, each kind once."""
        kinds: dict[tuple[str, ...], Refusal] = {}
        for refusal in self.observe().refusals:
            key = (refusal.stage, refusal.code, refusal.dsn, refusal.reason.partition(" (")[0])
            kinds.setdefault(key, refusal)
        return RefusalTable(list(kinds.values()))

    def log_summary(self) -> LogSummary:
        """Return the newest part of the server's log in figures, as `handson log` prints it."""
        text = server_log.read(self.server, None, SIZE)
        return LogSummary(Summary().count(text.split("\n")))

    def message(self, seconds: float = 15) -> Message:
        """Return the newest message of the log that was relayed after a login."""
        let_count(self.workspace, self.slug)

        def look() -> Message | None:
            observed = self.observe()
            found = [m for m in observed.messages if m.is_authenticated and m.deliveries]
            return found[-1] if found else None

        return wait_for(look, seconds, _("a message that was relayed after a login"))


@RULES.happened(
    "message-complete",
    _("The log shows a message from its login on port 587 to its removal from the queue."),
    MANUAL,
    up_to(Link.LOG),
)
def message_complete(observed: Observation) -> Finding:
    for message in reversed(observed.messages):
        if message.sasl_username and message.is_removed:
            return good(
                f"{message.queue_id} sasl_method={message.sasl_method} "
                f"sasl_username={message.sasl_username}"
            )
    return not_logged(
        observed,
        SENT,
        "sasl_username=",
        _("No message that was sent with a login has left the queue yet."),
        _("Run 06_mailx_test, then look at `mailq` on the server."),
    )


@RULES.happened(
    "message-handed-on",
    _("The relay tried to pass that message to the recipient's mail host."),
    "https://www.postfix.org/smtp.8.html",
    (*LOG, "port-25-blocked"),
)
def message_handed_on(observed: Observation) -> Finding:
    for message in reversed(observed.messages):
        if message.sasl_username and message.deliveries:
            last = message.deliveries[-1]
            if last.status == "sent":
                return good(f"relay={last.relay} status=sent")
            return Finding(
                # AWS blocks port 25 out of EC2 until asked to lift the block: the relay works
                # as it should, even if the next host cannot be reached from there.
                last.status == "deferred" and "timed out" in last.reason,
                f"status={last.status} ({last.reason})",
                "",
                _("The reason is what the next server, or the resolver, answered."),
            )
    return not_logged(
        observed,
        SENT,
        "status=",
        _("No message that was sent with a login was handed on yet."),
        _("Run 06_mailx_test."),
    )


@RULES.happened(
    "refusals-found",
    _("The log shows the refused attempts, and why each was refused."),
    MANUAL,
    LOG,
)
def refusals_found(observed: Observation) -> Finding:
    # What the course's own dialogues caused, those of checks too, does not count; of what was
    # refused at the greeting, the log does not tell whose it was.
    found = [
        one for one in observed.refusals if not one.helo.endswith(HELO) and one.stage != "CONNECT"
    ]
    kinds = sorted({f"{refusal.code} {refusal.dsn}" for refusal in found})
    if kinds:
        return good(", ".join(kinds))
    return not_logged(
        observed, SENT, "reject:", _("Nothing has been refused yet."), _("Run 06_mailx_test.")
    )
