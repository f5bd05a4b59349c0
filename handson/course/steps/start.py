"""Is everything there that the tutorial's earlier parts left: two hosts and a relay on port 25?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, Scene, bad, good
from handson.diagnosis.groups import RELAY
from handson.i18n import _

RULES = Rules("relay")


@RULES.now(
    "server-answers",
    _("The server runs and answers over ssh with the host key that was pinned."),
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/connect-linux-inst-ssh.html",
)
def server_answers(scene: Scene) -> Finding:
    return good(scene.server.system.name)


@RULES.now(
    "client-answers",
    _("The client, which has no public address, answers through the server as its bastion."),
    "https://man.openbsd.org/ssh#J",
)
def client_answers(scene: Scene) -> Finding:
    return good(scene.client.system.name)


@RULES.now(
    "relay-answers",
    _("Postfix on the server answers the client on port 25."),
    "https://www.postfix.org/BASIC_CONFIGURATION_README.html",
    RELAY,
)
def relay_answers(scene: Scene) -> Finding:
    dialogue = scene.relay
    if dialogue.banner:
        return good(str(dialogue.banner))
    return bad(
        dialogue.outcome(),
        _("Postfix does not run, or the security group closes port 25 to the client."),
        _("On the server: sudo postfix status; then sudo systemctl restart postfix."),
    )


@RULES.happened(
    "relayed-without-login",
    _("A mail from the client was relayed with no login at all, for its address alone."),
    "https://www.postfix.org/postconf.5.html#mynetworks",
    ("no-maillog",),
)
def relayed_without_login(scene: Scene) -> Finding:
    here = f"[{scene.settings.client_ip}]"
    for message in scene.messages:
        if here in message.client and not message.sasl_username and message.deliveries:
            return good(f"{message.queue_id} {message.deliveries[-1].status}")
    return bad(
        _("no such message in {log}").format(log=scene.server.system.log_source),
        _("No mail was sent on port 25 yet, or the client is not in mynetworks."),
        _("Run the cells above: they send one."),
    )
