"""What the container engine answers where it does not do what it is asked, in plain words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from docker.errors import APIError, DockerException
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from handson.errors import LabError
from handson.i18n import _

# How the docker SDK says that the engine's service does not answer, or no more.
BROKEN = (DockerException, RequestException, HTTPError, OSError)


def explanation(error: Exception) -> str:
    """Return the engine's own words of an error, where it has any."""
    return str(getattr(error, "explanation", "") or error).strip()


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Raise LabError, with the engine's own words, for what the SDK raises in a `with` block."""
    try:
        yield
    except (DockerException, RequestException, HTTPError) as error:
        raise LabError(
            _("The container engine could not do it: {reason}").format(reason=explanation(error)),
            full_disk(explanation(error)) or _("Run `handson down`, then `handson up`."),
        ) from error


def full_disk(said: str) -> str:
    """Return what to do where these words of an engine or of a build tell of a full disk, or ''.

    >>> full_disk("write /usr/bin/perl: no such luck")
    ''
    """
    if "no space left on device" not in said.lower():
        return ""
    return _(
        "A disk is full: free 1 GB in /tmp, in /var/tmp and where the engine keeps its images "
        "(df -h), then run `handson up` again."
    )


def not_started(host: str, addresses: list[str], error: APIError) -> LabError:
    """Return the error for a host that could not be started; it was to have these addresses."""
    reason = explanation(error)
    words = reason.lower()
    if "writable-cgroups" in words or "security-opt" in words or "security opt" in words:
        return LabError(
            _("This Docker cannot give a host control groups of its own: {reason}").format(
                reason=reason
            ),
            _("With the machine's, one host could end another. Use Docker 28 or newer, or Podman."),
        )
    what = _("The engine could not start the host {host}: {reason}").format(
        host=host, reason=reason
    )
    if "rlimit" in words:
        return LabError(
            what,
            _(
                "The engine may not raise limits: it lacks the right CAP_SYS_RESOURCE. Give it "
                "that right, or lower its default limits (dockerd --default-ulimit "
                "nofile=1024:1024)."
            ),
        )
    if "already in use" in words or "already allocated" in words:
        return LabError(
            _(
                "The engine could not start the host {host}, which was to have {addresses}: "
                "{reason}"
            ).format(host=host, addresses=", ".join(addresses), reason=reason),
            _("Choose another address; or run `handson down`, then `handson up`."),
        )
    return LabError(what, full_disk(reason) or _("Run `handson down`, then `handson up`."))
