"""boto3 as the course uses it: one client a service, errors in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    LoginError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from handson.errors import CloudError, NotHere
from handson.i18n import _

# An answer that is no AWS answer at all (a web page) is the third, and boto3's oddest.
FAULTS = (ClientError, BotoCoreError, ResponseParserError)
UNKNOWN_USER = (NoCredentialsError, PartialCredentialsError, ProfileNotFound)
# What boto3 says when a login of `aws sso login`, `aws login` or a program of one's own has ended.
LOGGED_OUT = (CredentialRetrievalError, LoginError, SSOError, TokenRetrievalError)
STALE = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
# What EC2 and STS say of keys that are wrong, and of any keys in a region that is not enabled.
UNKNOWN_HERE = {"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException"}
NOT_ENABLED = {"OptInRequired", "RegionDisabledException"}
BUSY = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}


class Refused(CloudError):
    """The API answered a call with an error; `code` is its own word for it."""

    def __init__(self, code: str, what: str, cure: str) -> None:
        self.code = code
        super().__init__(what, cure)


class Aws:
    """The AWS API, or what stands in for it, in one region.

    `connection` holds further arguments of boto3's `Session.client`: none for AWS,
    `endpoint_url` and a pair of keys for the lab.
    """

    def __init__(self, region: str, connection: Mapping[str, Any]) -> None:
        self.region = region
        self.connection = dict(connection)
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def call(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call an operation by boto3's name for it; CloudError when that fails."""
        try:
            answer: dict[str, Any] = getattr(self._client(service), operation)(**arguments)
            return answer
        except FAULTS as error:
            raise self._told(error) from error

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """Return what all pages of an answer hold under `key`."""
        try:
            client = self._client(service)
            if not client.can_paginate(operation):
                return list(getattr(client, operation)(**arguments)[key])
            pages = client.get_paginator(operation).paginate(**arguments)
            return [item for page in pages for item in page.get(key, [])]
        except FAULTS as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> CloudError:
        told = in_plain_words(error)
        if isinstance(error, UNKNOWN_USER + LOGGED_OUT) or getattr(told, "code", "") in STALE:
            # A session keeps the credentials that it found: the next one looks for them anew.
            self._session = None
            self._clients.clear()
        return told

    def _client(self, service: str) -> Any:
        # A client takes a tenth of a second to make: each is made once, when it is needed.
        if service not in self._clients:
            if self._session is None:
                self._session = boto3.session.Session(region_name=self.region)
            # The lab answers CreateStack when its hosts have booted.
            # A lab is on this machine: what it is asked goes through nobody's proxy.
            proxies: dict[str, str] | None = {} if "endpoint_url" in self.connection else None
            config = Config(
                connect_timeout=10,
                read_timeout=180,
                retries={"mode": "standard"},
                proxies=proxies,
            )
            self._clients[service] = self._session.client(service, config=config, **self.connection)
        return self._clients[service]


class NoAws(Aws):
    """Stands where there is no AWS API: each call raises NotHere."""

    def __init__(self) -> None:
        super().__init__("", {})

    def call(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        raise _not_here()

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        raise _not_here()


def _not_here() -> NotHere:
    return NotHere(
        _("The hosts are your own: there is no AWS that has stacks or security groups for them."),
        _("What the notebook says about those does not apply; go on with the next cell."),
    )


def in_plain_words(error: Exception) -> CloudError:
    """Return the error with what happened and what to do."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        what = _("AWS refused {operation}: {message} ({code})").format(
            operation=error.operation_name,
            message=error.response.get("Error", {}).get("Message", "").rstrip("."),
            code=code,
        )
        return Refused(code, what, _cure(code))
    if isinstance(error, UNKNOWN_USER + LOGGED_OUT):
        return CloudError(
            _("AWS does not know who you are: {message}").format(message=str(error)),
            _log_in()
            if isinstance(error, LOGGED_OUT)
            else _(
                "Run `aws configure` or `aws sso login` in a terminal, or set AWS_PROFILE, "
                "and run the cell again; or choose the lab, which needs no account."
            ),
        )
    if isinstance(error, ConnectionError | HTTPClientError):
        return CloudError(
            _("The AWS API does not answer: {message}").format(message=str(error)),
            _(
                "Check the network and the region; for the lab, see with `handson status` "
                "that it is up."
            ),
        )
    return CloudError(str(error), _("Fix the problem named above and run the cell again."))


def _cure(code: str) -> str:
    if code in UNKNOWN_HERE:
        return _("{log_in} If the region is one that has to be enabled first: {enable}").format(
            log_in=_log_in(), enable=_enable()
        )
    if code in NOT_ENABLED:
        return _enable()
    if code in STALE:
        return _log_in()
    if code in DENIED:
        return _("Ask whoever runs the account to allow you that operation.")
    if code in BUSY:
        return _(
            "The account has sent too many requests at a time: wait a minute, and run the cell "
            "again."
        )
    return _("Fix the problem named above and run the cell again.")


def _enable() -> str:
    return _(
        "Enable the region in the AWS console (Account, AWS Regions), which takes some minutes, or "
        "choose another with HANDSON_REGION or in the form of 00_start."
    )


def _log_in() -> str:
    return _(
        "Log in again: `aws sso login`, `aws login`, or `aws configure` with keys that are valid; "
        "then run the cell again."
    )
