"""What moto leaves out of EC2 and CloudFormation, added in the running process.

The templates in `cfn/` are the ones that AWS takes, unchanged; where moto falls short of
AWS, moto is patched here and nowhere else. Each patch says what moto does and what AWS does::

    templates             functions and errors of a template
    schemas               the properties of the types that the course uses
    parameters            what the parameters of a template may be
    stacks                events, rollback, deletion in order
    stack_requests        names, change sets, updates, exports in use
    requests              filters, dry runs
    networks              VPCs, subnets, addresses, gateways, routes, endpoints
    instances             images, types, states, consoles
    security_groups       names and ids, members, what is in use
    security_group_rules  what a rule is, and which two are the same

Where AWS refuses, so does the lab, with AWS's code and as far as it is known in its words;
each such patch names where AWS's answer can be read.

Written against moto 5.2.5. Importing it imports moto's models, which takes some seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from handson.lab.patches import (
    instances,
    networks,
    parameters,
    requests,
    security_group_rules,
    security_groups,
    stack_requests,
    stacks,
    templates,
)
from handson.lab.patches.patch import Patch
from handson.lab.patches.stacks import roll_back

__all__ = ["PATCHES", "Patch", "apply", "roll_back"]

PATCHES: tuple[Patch, ...] = (
    *templates.PATCHES,
    *parameters.PATCHES,
    *stacks.PATCHES,
    *stack_requests.PATCHES,
    *requests.PATCHES,
    *networks.PATCHES,
    *instances.PATCHES,
    *security_groups.PATCHES,
    *security_group_rules.PATCHES,
)


def apply(
    public_addresses: Iterator[str] | Callable[[], str],
    console_output: Callable[[str], str] = lambda instance_id: "",
) -> None:
    """Patch moto in this process; a second call only changes what the two arguments do.

    `public_addresses` gives the next public IPv4 address, `console_output` the console's
    text of the instance whose id it is given.
    """
    give = public_addresses if callable(public_addresses) else public_addresses.__next__
    for patch in (*PATCHES, *networks.addresses(give), instances.console(console_output)):
        patch.apply()
