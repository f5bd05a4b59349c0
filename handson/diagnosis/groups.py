"""What may lie behind a rule that does not hold, in groups that grow along the chain.

The ids are those of `handson.diagnosis`.
"""

from __future__ import annotations

STARTS = ("option-in-column-1", "inet-interface-unknown", "loopback-only")
DIES = ("smtpd-conf-syntax", "no-mechanisms", "noplaintext")
RELAY = (*STARTS, *DIES)
REACHED = ("port-closed", *STARTS, "submission-off")
ANSWERS = (*REACHED, "space-in-option", *DIES)
OFFERS = (*ANSWERS, "tls-unavailable", "auth-not-offered", "smtpd-conf-ignored")
VERIFIES = (
    "unknown-verifier",
    "saslauthd-denied",
    "saslauthd-absent",
    "sasldb-missing",
    "sasldb-corrupt",
    "sasldb-permission",
    "chrooted-smtpd",
    "wrong-password",
)
LOGS_IN = (*OFFERS, *VERIFIES)
RELAYS = (*LOGS_IN, "map-type", "relay-denied-authenticated")
CLIENT = (
    "starttls-required",
    "tls-untrusted",
    "v15-credentials",
    "login-mechanism",
    "bad-base64",
    "client-rejected",
    "relay-denied",
)
SENT = (*RELAYS, *CLIENT)
