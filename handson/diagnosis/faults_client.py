"""The faults in the mail program's settings on the client, some with a server that fits them."""

from __future__ import annotations

from handson.diagnosis.fault import AGED, DEBIAN, EDITS_MASTER, RELOAD, Fault, Part
from handson.hosts.script import read
from handson.i18n import _

FILES = ("~/.mailrc", "~/.netrc")

LOGIN = """\
set smtp-auth=plain
set smtp-auth-user={login}
set smtp-auth-password={password}
set sendwait
"""

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


# Written by a colleague who knew AUTH PLAIN by half: the NUL before the name is missing.
_BY_HAND = (
    "cat > ~/login-by-hand.py <<'PROGRAM'\n"
    f"{read(__package__, 'login_by_hand.py')}PROGRAM\n"
    'python3 ~/login-by-hand.py "$server_ip"\n'
)

CLIENT_FAULTS = (
    Fault(
        "client-rejected",
        _("the mail program does not log in"),
        client=Part(FILES, mailrc="set sendwait\n"),
    ),
    Fault(
        "relay-denied",
        _("the mail program sends through port 25, without a login"),
        client=Part(FILES, mailrc="set smtp=smtp://{server_ip}:25\nset sendwait\n"),
    ),
    Fault(
        "login-mechanism",
        _("the mail program logs in by LOGIN, which is not offered"),
        client=Part(FILES, mailrc=LOGIN.replace("=plain", "=login")),
    ),
    Fault(
        "v15-credentials",
        _("the mail program ignores the variables that hold the login"),
        client=Part(FILES, mailrc="set v15-compat\n" + LOGIN),
        systems=DEBIAN,
    ),
    Fault(
        "bad-base64",
        _("a program that codes the login wrongly"),
        # Reloading parts the lines of the log that are of now from those of before.
        server=Part(after=RELOAD),
        client=Part(("~/login-by-hand.py",), _BY_HAND),
    ),
    Fault(
        "starttls-required",
        _("the server demands TLS, the mail program does not ask for it"),
        server=_tls("encrypt", CERTIFICATE),
        client=Part(FILES, mailrc=LOGIN),
        systems=EDITS_MASTER,
    ),
    Fault(
        "tls-unavailable",
        _("TLS is switched on without a certificate"),
        server=_tls("may", "/etc/postfix/none.pem"),
        client=Part(FILES, mailrc=LOGIN + "set smtp-use-starttls tls-verify=ignore\n"),
        systems=EDITS_MASTER,
    ),
    Fault(
        "tls-untrusted",
        _("the client does not trust the server's certificate"),
        server=_tls("may", CERTIFICATE),
        client=Part(FILES, mailrc=LOGIN + "set smtp-use-starttls\n"),
        systems=EDITS_MASTER,
    ),
)
