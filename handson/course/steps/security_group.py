"""Does the server's security group let the client through to the submission port?"""

from __future__ import annotations

from handson.cloud.security_groups import covers
from handson.course.checks import Finding, Rules, Scene, bad, good
from handson.i18n import _

__all__ = ["RULES", "covers"]

RULES = Rules("anonymous")


@RULES.now(
    "submission-allowed",
    _("The server's security group allows TCP 587 from the client."),
    "https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",
    ("port-closed",),
)
def submission_allowed(scene: Scene) -> Finding:
    rules = scene.cloud.rules(scene.cloud.names.server_group)
    for rule in rules:
        from_client = rule.source == scene.cloud.names.client_group or covers(
            rule.source, scene.settings.client_ip
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
    ("port-closed",),
)
def submission_answers(scene: Scene) -> Finding:
    dialogue = scene.anonymous
    if dialogue.connected in ("open", "refused"):
        return good(dialogue.connected)
    return bad(
        dialogue.outcome(),
        _("The security group drops the packets: a port that nothing listens on would refuse."),
        _("Look at the group's inbound rules and at which group the instance is in."),
    )
