"""Causes around TLS: demanded, not available, not trusted."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from handson.diagnosis.cause import (
    POSTCONF,
    RESTART,
    S_NAIL,
    TLS_README,
    Cause,
    Link,
    logged,
    on_client,
    on_server,
    to_set,
)
from handson.diagnosis.fault import AGED, LOGIN, RELOAD_SH, Part, in_mailrc
from handson.i18n import N_

if TYPE_CHECKING:
    from handson.mail.observation import Observation


def has_certificate(observed: Observation) -> bool:
    files = observed.survey.lines("certificate")
    named = observed.survey.value("smtpd_tls_cert_file")
    return bool(files) and (not named or named in files or len(files) > 1)


def tls_unavailable(observed: Observation) -> str:
    level = observed.survey.value("smtpd_tls_security_level")
    if level in ("", "none") or has_certificate(observed):
        return ""
    if level != "encrypt" and not (observed.mailrc.is_there and observed.mailrc.uses_tls):
        return ""
    found = observed.mailrc.dialogue.starttls if observed.mailrc.dialogue else None
    name = observed.survey.value("smtpd_tls_cert_file")
    seen = [
        f"smtpd_tls_security_level = {level}; smtpd_tls_cert_file = {name}".rstrip(),
        str(found) if found and found.is_refusal else "",
        logged(observed, "No server certs available|cannot get RSA certificate"),
    ]
    return "\n".join(filter(None, seen))


def wrapper_mode(observed: Observation) -> str:
    if not observed.submission.is_open or observed.submission.banner:
        return ""
    value = observed.survey.value("smtpd_tls_wrappermode")
    return f"smtpd_tls_wrappermode = {value}" if value == "yes" else ""


def starttls_required(observed: Observation) -> str:
    if observed.survey.value("smtpd_tls_security_level") != "encrypt" or not has_certificate(
        observed
    ):
        return ""
    if not observed.mailrc.is_there or observed.mailrc.uses_tls or not observed.mailrc.dialogue:
        return ""
    refusal = observed.mailrc.dialogue.refusal
    if not refusal or refusal.code != 530:
        return ""
    return f"{refusal}\nsmtpd_tls_security_level = encrypt"


def tls_untrusted(observed: Observation) -> str:
    found = observed.mailrc
    if not found.uses_tls or not found.dialogue:
        return ""
    error = found.dialogue.error
    return error if "certificate" in error or "match" in error else ""


def make_certificate(observed: Observation) -> list[str]:
    """Return the commands that make a certificate for the server, and have Postfix use it."""
    address = observed.settings.server_ip
    return on_server(
        "sudo openssl req -x509 -newkey rsa:2048 -nodes -days 365 "
        f"-subj /CN={address} -addext subjectAltName=IP:{address} "
        "-addext basicConstraints=critical,CA:FALSE "
        f"-keyout {OWN}.key -out {OWN}.crt",
        f"sudo chmod 0600 {OWN}.key",
        f"sudo postconf -e smtpd_tls_cert_file={OWN}.crt smtpd_tls_key_file={OWN}.key",
        RESTART,
    )


def trust(observed: Observation) -> list[str]:
    """Return the commands that bring the server's certificate to the client, and compare it."""
    url, file = f"{observed.settings.server_ip}:587", observed.survey.value("smtpd_tls_cert_file")
    show = "openssl x509 -noout -fingerprint -sha256 -in"
    return [
        *on_client(
            f"openssl s_client -starttls smtp -connect {url} < /dev/null | "
            "openssl x509 > ~/submission.crt",
            f"{show} ~/submission.crt",
        ),
        *on_server(f"sudo {show} {shlex.quote(file)}"),
        *on_client("echo 'set smtp-use-starttls tls-ca-file=~/submission.crt' >> ~/.mailrc"),
    ]


OWN = "/etc/postfix/submission"
CERTIFICATE = "/etc/postfix/handson.pem"
# A certificate for the server's own address, so that only who signed it is in question.
_MAKE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "
    '-subj "/CN=$server_ip" -addext "subjectAltName=IP:$server_ip" '
    f"-keyout {CERTIFICATE}.key -out {CERTIFICATE} 2>/dev/null\n"
    f"chmod 0600 {CERTIFICATE}.key\n"
)


def _tls(level: str, certificate: str) -> Part:
    """Return the server's part: TLS at a level, with a certificate of that name."""
    script = _MAKE if certificate == CERTIFICATE else ""
    script += (
        f"postconf -e smtpd_tls_security_level={level} smtpd_tls_cert_file={certificate} "
        f"smtpd_tls_key_file={certificate}.key\n"
        'postconf -PX "$service/smtpd_tls_security_level" 2>/dev/null || true\n'
    )
    files = (
        "/etc/postfix/main.cf",
        "/etc/postfix/master.cf",
        CERTIFICATE,
        f"{CERTIFICATE}.key",
    )
    return Part(files, script + AGED + RELOAD_SH, after=RELOAD_SH)


CAUSES = (
    Cause(
        "tls-unavailable",
        N_("454 TLS not available due to local problem; the log: No server certs available."),
        N_("TLS is switched on, and there is no certificate that Postfix can read."),
        N_("Make a certificate, and name it and its key in main.cf (09_harden explains it):"),
        f"{TLS_README}#server_cert_key",
        tls_unavailable,
        commands=make_certificate,
        link=Link.GREETS,
        is_state=True,
        port=587,
        fault=in_mailrc(
            N_("TLS is switched on without a certificate"),
            LOGIN + "set smtp-use-starttls tls-verify=ignore\n",
            _tls("may", "/etc/postfix/none.pem"),
        ),
    ),
    Cause(
        "wrapper-mode",
        N_("Port 587 connects and says nothing: it waits for TLS."),
        N_("smtpd_tls_wrappermode is for port 465: on 587 a client speaks SMTP first."),
        "",
        f"{POSTCONF}#smtpd_tls_wrappermode",
        wrapper_mode,
        link=Link.GREETS,
        commands=lambda observed: to_set(observed, "smtpd_tls_wrappermode", "no", RESTART),
        port=587,
    ),
    Cause(
        "starttls-required",
        N_("530 Must issue a STARTTLS command first."),
        N_("The server demands TLS (encrypt), and the mail program does not ask for it."),
        N_(
            "Have the mail program use STARTTLS, and trust the server's certificate. The two "
            "fingerprints have to be equal:"
        ),
        f"{POSTCONF}#smtpd_tls_security_level",
        starttls_required,
        commands=trust,
        link=Link.MAIL_PROGRAM,
        fault=in_mailrc(
            N_("the server demands TLS, the mail program does not ask for it"),
            LOGIN,
            _tls("encrypt", CERTIFICATE),
        ),
    ),
    Cause(
        "tls-untrusted",
        N_("The mail program ends at the certificate: self-signed, or it does not match."),
        N_("The client knows no authority that has signed the server's certificate."),
        N_(
            "Copy the server's certificate to the client, and name it in ~/.mailrc. The two "
            "fingerprints have to be equal:"
        ),
        S_NAIL,
        tls_untrusted,
        commands=trust,
        link=Link.MAIL_PROGRAM,
        fault=in_mailrc(
            N_("the client does not trust the server's certificate"),
            LOGIN + "set smtp-use-starttls\n",
            _tls("may", CERTIFICATE),
        ),
    ),
)
