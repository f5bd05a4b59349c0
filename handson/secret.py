"""A password that does not show itself."""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Iterable
from urllib.parse import quote

MASK = "••••••••"


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

    The password itself, as it stands in a URL, its base64 (AUTH LOGIN), and the base64 of
    `\\0user\\0password` and `user\\0user\\0password` (AUTH PLAIN, RFC 4616) for each of
    `users`. The longest come first, so that none is left in part.

    >>> encodings(Secret("pw"), ["joe"])
    ['am9lAGpvZQBwdw==', 'AGpvZQBwdw==', 'cHc=', 'pw']
    """
    value = secret.reveal()
    plain = [f"{authzid}\0{user}\0{value}" for user in users for authzid in ("", user)]
    coded = [base64.b64encode(text.encode()).decode() for text in [*plain, value]]
    return sorted({*coded, quote(value, safe=""), value}, key=len, reverse=True)


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
