"""A password that does not show itself, and the mask over it in whatever is shown."""

from __future__ import annotations

import base64
import html
import secrets
import string
from collections.abc import Iterable
from urllib.parse import quote

MASK = "••••••••"
# The secrets that hosts of this process know, each with the names it may be coded with.
_known: dict[Secret, set[str]] = {}


class Secret:
    """A secret whose text faces are all a mask; only `reveal()` gives the value.

    >>> password = Secret("tr0ub4dor")
    >>> print(password, f"{password}", repr(password))
    •••••••• •••••••• Secret('••••••••')
    >>> password.reveal()
    'tr0ub4dor'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def generate(cls, length: int = 20) -> Secret:
        """Draw a password of letters and digits: about six bits of entropy a character."""
        alphabet = string.ascii_letters + string.digits
        return cls("".join(secrets.choice(alphabet) for _ in range(length)))

    def reveal(self) -> str:
        return self._value

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and secrets.compare_digest(
            self._value.encode(), other._value.encode()
        )

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")


def encodings(secret: Secret, users: Iterable[str] = ()) -> list[str]:
    """Return every spelling in which a mail dialogue may carry the secret.

    The password itself, as it stands in a URL and in HTML, its base64 (AUTH LOGIN), and the
    base64 of `\\0user\\0password` and `user\\0user\\0password` (AUTH PLAIN, RFC 4616) for
    each of `users`. The longest come first, so that none is left in part.

    >>> encodings(Secret("pw"), ["joe"])
    ['am9lAGpvZQBwdw==', 'AGpvZQBwdw==', 'cHc=', 'pw']
    """
    value = secret.reveal()
    plain = [f"{authzid}\0{user}\0{value}" for user in users for authzid in ("", user)]
    coded = [base64.b64encode(text.encode()).decode() for text in [*plain, value]]
    written = (value, quote(value, safe=""), html.escape(value))
    return sorted({*coded, *written}, key=len, reverse=True)


def scrub(text: str, secret: Secret | None, users: Iterable[str] = ()) -> str:
    """Put the mask in place of every spelling of the secret in `text`.

    >>> scrub("235 joe AGpvZQBwdw==", Secret("pw"), ["joe"])
    '235 joe ••••••••'
    """
    if secret is None or not secret.reveal():
        return text
    for spelling in encodings(secret, users):
        text = text.replace(spelling, MASK)
    return text


def remember(secret: Secret | None, users: Iterable[str] = ()) -> None:
    """Have `masked` hide a secret from now on, coded with any of `users` too."""
    if secret is not None:
        _known.setdefault(secret, set()).update(users)


def masked(text: str) -> str:
    """Put the mask over every secret that was remembered: for what is shown, not what is read."""
    for secret, users in tuple(_known.items()):
        text = scrub(text, secret, tuple(users))
    return str(text)


class Output(str):
    """What a host printed: read as it is, and shown with the mask over secrets.

    A word of it may be the password by chance, and a fact must not change by that.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return masked(str.__str__(self))

    def __repr__(self) -> str:
        return repr(str(self))
