"""What the targets with an EC2 have in common: instances, and a bastion before those inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from handson.cloud.cloud import Cloud
from handson.cloud.names import Names
from handson.cloud.targets.target import Endpoint, Target
from handson.errors import HostUnreachable
from handson.i18n import _


class Ec2Target(Target):
    """Hosts are instances: the server has a public address, the others are behind it."""

    login_user: ClassVar[str]

    @property
    def fixed(self) -> Mapping[str, str]:
        # Addresses of hosts that one has already are of no matter: the VPC gives its own.
        return dict.fromkeys(("server_address", "client_address", "stranger_address"), "")

    def place(self, name: str, cloud: Cloud) -> Endpoint:
        """Return where an instance is; its host keys are pinned from its console output."""
        full: str = getattr(Names(self.settings.date, self.settings.learner), name)
        instance = cloud.instance(full)
        if instance is None:
            raise HostUnreachable(
                _("The instance {name} is not there.").format(name=full),
                _("Run the notebook 00_start: it makes the hosts."),
            )
        if instance.state != "running":
            raise HostUnreachable(
                _("The instance {name} is {state}.").format(name=full, state=instance.state),
                self.how_to_start,
            )
        keys = self.workspace.pinned(instance.id)
        if not keys:
            keys = cloud.host_keys(instance.id)
            self.workspace.pin(instance.id, keys)
        is_server = name == "server"
        address = instance.public_ip if is_server else instance.private_ip
        if not address:
            raise HostUnreachable(
                _("The instance {name} has no public address.").format(name=full),
                _("Delete its stack and run 00_start once more."),
            )
        behind = "" if is_server else "server"
        return Endpoint(address, 22, self.login_user, tuple(keys), behind=behind)
