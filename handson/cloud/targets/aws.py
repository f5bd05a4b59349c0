"""AWS as a target: the account and the choices of the learner."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from handson.cloud.cloud import Cloud
from handson.cloud.targets.ec2 import Ec2Target
from handson.errors import HandsonError
from handson.i18n import _
from handson.settings import check_ip
from handson.ui.progress import progress
from handson.ui.view import Table


class AwsTarget(Ec2Target):
    """Instances in the account whose credentials boto3 finds."""

    name = "aws"
    title = "AWS"
    asks = ("region", "system", "learner")
    login_user = "ec2-user"

    @property
    def connection(self) -> Mapping[str, Any]:
        return {}

    @property
    def how_to_start(self) -> str:
        return _("Start it: aws ec2 start-instances, or in the EC2 console.")

    def find_own_ip(self) -> str:
        """Return the address from which AWS sees this machine, as AWS itself tells it."""
        try:
            with urllib.request.urlopen("https://checkip.amazonaws.com", timeout=5) as answer:
                return check_ip(answer.read(64).decode())
        except (OSError, ValueError):
            raise HandsonError(
                _("Your own IP address could not be found out."),
                _("Type it into the form, or set HANDSON_OWN_IP."),
            ) from None

    def overview(self) -> Table:
        cloud = Cloud(self.settings, self.connection)
        found = [cloud.instance(name) for name in (cloud.names.server, cloud.names.client)]
        rows = [
            [instance.name, instance.id, instance.state, instance.private_ip, instance.public_ip]
            for instance in found
            if instance
        ]
        return Table(
            [_("instance"), _("id"), _("state"), _("private address"), _("public address")],
            rows,
            empty=_("There are no instances of the course on AWS in {region}.").format(
                region=self.settings.region
            ),
        )

    # -- a run of the whole course -------------------------------------------

    def prepare(self) -> None:
        with progress(_("Looking who you are on AWS")) as shown:
            shown.say(self.settings.region)
            Cloud(self.settings, self.connection).who_am_i()

    def tear_down(self, complete: bool, run_teardown: Callable[[], bool]) -> str:
        if not complete and not run_teardown():
            raise HandsonError(
                _("Not everything on AWS could be deleted; what is left may cost money."),
                _("Run notebooks/10_teardown.ipynb: it lists what is left, and why."),
            )
        return _("Everything on AWS is deleted: nothing is left.")

    @property
    def kept(self) -> str:
        return _(
            "What the course made on AWS is still there, and its instances cost money: "
            "notebooks/10_teardown.ipynb deletes it."
        )
