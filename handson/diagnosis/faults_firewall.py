"""The fault in the security group: the rules for port 587 are taken away and given back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from handson.diagnosis.fault import Fault, Part
from handson.errors import HandsonError
from handson.i18n import _

if TYPE_CHECKING:
    from handson.mail.observation import Scene

PORT_CLOSED = Fault(
    "port-closed", _("the security group keeps port 587 shut"), server=Part(), closes_port=True
)


def rules_to_close(scene: Scene) -> str:
    """Return the rules that open port 587, as JSON; raise HandsonError where that is not all."""
    group = scene.cloud.names.server_group
    opening = [rule for rule in scene.cloud.rules(group) if rule.opens(587)]
    for rule in opening:
        if rule.port != "587" or "/" not in rule.source:
            raise HandsonError(
                _("The rule {port} ← {source} opens more than port 587 for a network.").format(
                    port=rule.port, source=rule.source
                ),
                _("Choose another fault: `handson break --list`."),
            )
    return json.dumps([[rule.source, rule.description] for rule in opening])


def close(scene: Scene, note: str) -> None:
    for source, _description in json.loads(note):
        scene.cloud.close_port(587, source)


def reopen(scene: Scene, note: str) -> None:
    for source, description in json.loads(note or "[]"):
        scene.cloud.open_port(587, source, description)
