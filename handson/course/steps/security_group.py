"""Does the server's security group let the client through to the submission port?"""

from __future__ import annotations

import shlex

from handson.cloud.security_groups import covers
from handson.course.checks import Finding, Rules, bad, good
from handson.course.step import Step
from handson.diagnosis.chain import Link, up_to
from handson.errors import NotHere
from handson.i18n import _
from handson.mail.observation import Observation
from handson.ui.choice import Choice, Option
from handson.ui.view import Note, Terminal, View

RULES = Rules("anonymous")


class SecurityGroup(Step):
    """Open the submission port, TCP 587, in the server's security group."""

    slug = "01_security_group"
    title = _("Security group")
    purpose = _("Open the submission port, TCP 587, in the server's security group.")
    rules = RULES

    def ask_source(self) -> Choice:
        """Return the question who may reach port 587, with what speaks for each answer."""
        return Choice(
            _("Who may reach port 587?"),
            [
                Option(
                    "vpc",
                    _("the VPC, {cidr}").format(cidr=self.settings.vpc_cidr),
                    _("better, as all clients of this relay are inside: nobody else can try"),
                ),
                Option(
                    "anywhere",
                    _("everybody, 0.0.0.0/0"),
                    _("as in the tutorial; only for clients outside: all can guess passwords"),
                ),
            ],
            self.settings.submission_source,
        )

    def choose_source(self, choice: Choice) -> str:
        """Remember the answer and return the CIDR that it stands for."""
        saved = self.workspace.settings().with_(submission_source=choice.value)
        self.workspace.save(saved)
        self.__dict__.pop("settings", None)
        return self.settings.submission_cidr

    def open_submission(self, source: str) -> Note:
        """Open TCP 587 in the server's security group for a source (a CIDR)."""
        try:
            opened = self.cloud.open_port(587, source, _("Submission"))
        except NotHere as error:
            own = _("A firewall of your own has to let the client in at TCP 587.")
            return Note(f"{error.what} {own}", "quiet")
        group = self.cloud.names.server_group
        if opened:
            text = _("{group} allows TCP 587 from {source} now.")
        else:
            text = _("{group} allowed TCP 587 from {source} already: nothing was changed.")
        return Note(text.format(group=group, source=source), "good")

    def open_by_hand(self, source: str) -> View:
        """Return the command of the AWS CLI that opens the port, with the group's own id."""
        try:
            stacks = {stack.name: stack for stack in self.cloud.stacks()}
        except NotHere as error:
            return Note(error.what, "quiet")
        group = stacks[self.cloud.names.server_stack].outputs["SecurityGroupId"]
        command = [
            *("aws", "ec2", "authorize-security-group-ingress"),
            *("--region", self.settings.region, "--group-id", group),
            *("--protocol", "tcp", "--port", "587", "--cidr", source),
        ]
        note = _("for a terminal of your own: not run here")
        return Terminal(_("your computer"), shlex.join(command), "", 0, note)

    def undo(self) -> list[View]:
        """Close port 587."""
        shown: list[View] = []
        group = self.cloud.names.server_group
        try:
            rules = self.cloud.rules()
        except NotHere:
            return []
        for rule in rules:
            # A range that holds 587 too is not what the step makes.
            is_ours = rule.is_inbound and rule.protocol == "tcp" and rule.port == "587"
            if is_ours and self.cloud.close_port(587, rule.source):
                text = _("{group} no longer allows TCP 587 from {source}.")
                shown.append(Note(text.format(group=group, source=rule.source), "good"))
        return shown


@RULES.now(
    "submission-allowed",
    _("The server's security group allows TCP 587 from the client."),
    "https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",
    ("port-closed",),
)
def submission_allowed(observed: Observation) -> Finding:
    rules = observed.cloud.rules(observed.cloud.names.server_group)
    for rule in rules:
        from_client = rule.source == observed.cloud.names.client_group or covers(
            rule.source, observed.settings.client_ip
        )
        if rule.opens(587) and from_client:
            return good(f"{rule.port} ← {rule.source}")
    return bad(
        _("ports open now: {ports}").format(
            ports=", ".join(rule.port for rule in rules if rule.is_inbound)
        ),
        _("No inbound rule names TCP 587 with a source that holds the client's address."),
        _("Add the rule: Custom TCP, port 587, source the VPC's CIDR."),
    )


@RULES.now(
    "submission-answers",
    _("A packet of the client reaches port 587: it is no longer dropped on the way."),
    "https://www.rfc-editor.org/rfc/rfc6409",
    up_to(Link.PACKET),
)
def submission_answers(observed: Observation) -> Finding:
    dialogue = observed.anonymous
    if dialogue.connected in ("open", "refused"):
        return good(dialogue.connected)
    return bad(
        dialogue.outcome(),
        _("A port that nothing listens on would refuse: something on the way drops the packets."),
        _("Look at the rules of both groups, and at which group each instance is in."),
    )
