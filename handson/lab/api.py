"""What a lab tells and does beside the AWS API: asked by its owner, with the lab's key.

Whoever has the key needs no rights on the container engine: the lab's server has them.
"""

from __future__ import annotations

import hmac
import http.client
import json
import secrets
from typing import Any
from urllib.parse import urlsplit

from handson.errors import LabDown, LabError
from handson.i18n import _
from handson.lab.access import Key
from handson.lab.state import LabState

ROOT = "/handson-lab"
PROOF = "X-Handson-Proof"
SERVICE, REGION = "handson", "local"


class LabApi:
    """The API of a running lab, as its state names it.

    >>> LabApi(LabState.load("lab")).ask("hosts")       # doctest: +SKIP
    """

    def __init__(self, state: LabState) -> None:
        self.state = state
        self.key = Key(state.key_id, state.key_secret)

    @property
    def is_up(self) -> bool:
        """Return whether this lab, and no other program, answers at its address."""
        try:
            return bool(self.ask("name", seconds=5) == self.state.name)
        except LabError:
            return False

    def away(self) -> list[str]:
        """Return the hosts that do not run, each with its state."""
        hosts = self.ask("hosts")
        return [f"{one['name']} ({one['state']})" for one in hosts if one["state"] != "running"]

    def capture(self, instance: str, port: int) -> None:
        """Begin to read the packets of a TCP port of an instance, from outside it."""
        self.ask("capture", instance=instance, port=port)

    def captured(self, instance: str) -> str:
        """End it, and return what tcpdump has printed."""
        return str(self.ask("captured", instance=instance))

    def ask(self, question: str, seconds: float = 120, **values: Any) -> Any:
        """Return the answer; raise LabError with the lab's own words, LabDown without any."""
        address = urlsplit(self.state.endpoint)
        # The nonce makes each request another, and the proof of its answer too.
        body = json.dumps({**values, "nonce": secrets.token_hex()}).encode()
        url = f"{self.state.endpoint}{ROOT}/{question}"
        headers = self.key.sign("POST", url, body, SERVICE, REGION)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=seconds
        )
        try:
            connection.request("POST", f"{ROOT}/{question}", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if not hmac.compare_digest(answer.headers.get(PROOF, ""), self.key.prove(body, text)):
                raise ValueError(_("it is another program, or it has another key"))
            found = json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LabDown(
                _("The API of the lab “{name}” does not answer: {reason}.").format(
                    name=self.state.name, reason=str(error) or type(error).__name__
                ),
                _("Start it in a terminal: handson up --name {name}").format(name=self.state.name),
            ) from None
        finally:
            connection.close()
        if answer.status != 200:
            raise LabError(str(found["what"]), str(found["cure"]))
        return found["answer"]
