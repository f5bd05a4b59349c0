"""The key of a lab: every request to its API is signed with it, as AWS has requests signed.

Source: AWS, Signature Version 4 for API requests. The signature covers the method, the
address, the headers that it names and the whole body.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

# AWS refuses a request whose date is further off than this.
SKEW = timedelta(minutes=15)
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>[A-Z0-9]+)/\d{8}/(?P<region>[a-z0-9-]+)/"
    r"(?P<service>[a-z0-9]+)/aws4_request, ?SignedHeaders=(?P<headers>[a-z0-9;-]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
NEEDED = {"host", "x-amz-date"}


@dataclass(frozen=True)
class Key:
    """An access key of one lab: `id` goes with each request, `secret` never does."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> Key:
        """Draw a key that nobody can guess."""
        return cls("AKIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30))

    def sign(self, method: str, url: str, body: bytes, service: str, region: str) -> dict[str, str]:
        """Return the headers of a signed request.

        >>> sorted(Key("AKIA0", "x").sign("GET", "http://127.0.0.1/", b"", "sts", "local"))
        ['Authorization', 'X-Amz-Date']
        """
        request = AWSRequest(method=method, url=url, data=body)
        SigV4Auth(Credentials(self.id, self.secret), service, region).add_auth(request)
        return dict(request.headers.items())

    def prove(self, asked: bytes, answer: bytes) -> str:
        """Return what only a holder of the key can say of an answer to a request's body.

        A program that has got the port of a server that crashed cannot.
        """
        text = hashlib.sha256(asked).digest() + answer
        return hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()

    def admits(self, environ: Mapping[str, Any], body: bytes) -> str:
        """Return the service that a WSGI request is signed for with this key, or ''."""
        found = AUTHORIZATION.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
        if not found or not hmac.compare_digest(found["id"], self.id):
            return ""
        named = found["headers"].split(";")
        headers = {name: _header(environ, name) for name in named}
        date = headers.get("x-amz-date") or ""
        if not set(named) >= NEEDED or None in headers.values() or not _is_now(date):
            return ""
        # It names the action: whoever adds one to a request must not choose what is done.
        if "HTTP_X_AMZ_TARGET" in environ and "x-amz-target" not in named:
            return ""
        digest = headers.get("x-amz-content-sha256")
        if digest and digest != hashlib.sha256(body).hexdigest():  # neither is a secret
            return ""
        target = environ.get("RAW_URI") or environ.get("PATH_INFO", "")
        request = AWSRequest(
            method=environ["REQUEST_METHOD"],
            url=f"http://{headers['host']}{target}",
            headers=headers,
            data=body,
        )
        request.context["timestamp"] = date
        auth = SigV4Auth(Credentials(self.id, self.secret), found["service"], found["region"])
        try:
            text = auth.string_to_sign(request, auth.canonical_request(request))
            wanted = auth.signature(text, request)
        except ValueError:  # no address can be made of Host and path
            return ""
        return found["service"] if hmac.compare_digest(found["signature"], wanted) else ""


def _header(environ: Mapping[str, Any], name: str) -> str | None:
    key = name.upper().replace("-", "_")
    return environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}")


def _is_now(date: str) -> bool:
    try:
        then = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(datetime.now(UTC) - then) <= SKEW
