"""Causes around TLS: demanded, not available, not trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handson.diagnosis.cause import POSTCONF, S_NAIL, TLS_README, Cause, Link, logged
from handson.diagnosis.fault import AGED, LOGIN, RELOAD, Part, edits_master, in_mailrc
from handson.i18n import _

if TYPE_CHECKING:
    from handson.mail.observation import Scene


def _has_certificate(scene: Scene) -> bool:
    files = scene.survey.lines("certificate")
    named = scene.survey.value("smtpd_tls_cert_file")
    return bool(files) and (not named or named in files or len(files) > 1)


def tls_unavailable(scene: Scene) -> str:
    level = scene.survey.value("smtpd_tls_security_level")
    if level in ("", "none") or _has_certificate(scene):
        return ""
    if level != "encrypt" and not (scene.mailrc.is_there and scene.mailrc.uses_tls):
        return ""
    found = scene.mailrc.dialogue.starttls if scene.mailrc.dialogue else None
    name = scene.survey.value("smtpd_tls_cert_file")
    seen = [
        f"smtpd_tls_security_level = {level}; smtpd_tls_cert_file = {name}".rstrip(),
        str(found) if found and found.is_refusal else "",
        logged(scene, "No server certs available|cannot get RSA certificate"),
    ]
    return "\n".join(filter(None, seen))


def starttls_required(scene: Scene) -> str:
    if scene.survey.value("smtpd_tls_security_level") != "encrypt" or not _has_certificate(scene):
        return ""
    if not scene.mailrc.is_there or scene.mailrc.uses_tls or not scene.mailrc.dialogue:
        return ""
    refusal = scene.mailrc.dialogue.refusal
    if not refusal or refusal.code != 530:
        return ""
    return f"{refusal}\nsmtpd_tls_security_level = encrypt"


def tls_untrusted(scene: Scene) -> str:
    found = scene.mailrc
    if not found.uses_tls or not found.dialogue:
        return ""
    error = found.dialogue.error
    return error if "certificate" in error or "match" in error else ""


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
    return Part(files, script + AGED + RELOAD, after=RELOAD)


CAUSES = (
    Cause(
        "tls-unavailable",
        _("454 TLS not available due to local problem; the log: No server certs available."),
        _("TLS is switched on, and there is no certificate that Postfix can read."),
        _(
            "Name a certificate and its key: sudo postconf -e smtpd_tls_cert_file=FILE "
            "smtpd_tls_key_file=FILE; {restart}"
        ),
        f"{TLS_README}#server_cert_key",
        tls_unavailable,
        link=Link.GREETS,
        is_state=True,
        port=587,
        fault=in_mailrc(
            _("TLS is switched on without a certificate"),
            LOGIN + "set smtp-use-starttls tls-verify=ignore\n",
            _tls("may", "/etc/postfix/none.pem"),
            arises=edits_master,
        ),
    ),
    Cause(
        "starttls-required",
        _("530 Must issue a STARTTLS command first."),
        _("The server demands TLS (encrypt), and the mail program does not ask for it."),
        _("On the client add to ~/.mailrc: set smtp-use-starttls"),
        f"{POSTCONF}#smtpd_tls_security_level",
        starttls_required,
        link=Link.MAIL_PROGRAM,
        fault=in_mailrc(
            _("the server demands TLS, the mail program does not ask for it"),
            LOGIN,
            _tls("encrypt", CERTIFICATE),
            arises=edits_master,
        ),
    ),
    Cause(
        "tls-untrusted",
        _("The mail program ends at the certificate: self-signed, or it does not match."),
        _("The client knows no authority that vouches for the server's certificate."),
        _(
            "Copy the server's certificate to the client, and name it in ~/.mailrc: "
            "set tls-ca-file=FILE"
        ),
        S_NAIL,
        tls_untrusted,
        link=Link.MAIL_PROGRAM,
        fault=in_mailrc(
            _("the client does not trust the server's certificate"),
            LOGIN + "set smtp-use-starttls\n",
            _tls("may", CERTIFICATE),
            arises=edits_master,
        ),
    ),
)
