"""What AWS looks at in any request to EC2: its filters, and whether it is meant.

"EC2" is the EC2 API reference: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from moto.core.utils import camelcase_to_underscores, get_service_model
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from moto.ec2.responses._base_response import EC2BaseResponse

from handson.lab.patches.patch import Patch

_moto_call_action = EC2Response.call_action
_moto_filters = EC2BaseResponse._filters_from_querystring


def call_action(self: Any) -> Any:
    # moto does in earnest, for many an operation, what is asked for as a dry run.
    # EC2: errors-overview.html, DryRunOperation.
    if self._get_param("DryRun", False):
        setattr(self, camelcase_to_underscores(self._get_action()), self.error_on_dryrun)
    return _moto_call_action(self)


def filters(self: Any) -> Any:
    # moto passes over an unknown filter, or dies of it. AWS:
    # https://github.com/boto/boto3/issues/1299
    found = _moto_filters(self)
    known = documented_filters(self._get_action())
    for name in found:
        if known and name not in known and not name.startswith("tag:"):
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return found


@cache
def documented_filters(operation: str) -> frozenset[str]:
    """Return the names in the reference's text on an operation's filters; all that it quotes.

    >>> {"vpc-id", "tag-key", "cidr-block"} <= documented_filters("DescribeSubnets")
    True
    """
    request: Any = get_service_model("ec2").operation_model(operation).input_shape
    members = request.members
    shape = members.get("Filters") or members.get("Filter")
    names = re.findall(r"<code>([^<]+)</code>", shape.documentation) if shape else []
    # The reference no longer tells of tag-value.
    return frozenset([*names, "tag-value"] if names else [])


PATCHES = (
    Patch(EC2Response, "call_action", call_action),
    Patch(EC2BaseResponse, "_filters_from_querystring", filters),
)
