"""The mail program's settings on the client, and whether the server takes what they hold.

A program on the client reads `~/.mailrc` and `~/.netrc` as Heirloom mailx or s-nail does and
tries the login in them over SMTP, up to RCPT. No password leaves the host: what comes back
tells only whether there is one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from handson.errors import HandsonError
from handson.hosts.host import Host
from handson.i18n import _
from handson.mail.smtp import HELO, Dialogue

# Runs on a host: the standard library only, and nothing newer than Python 3.7.
_PROGRAM = r"""
import base64, netrc, os, shlex, smtplib, socket, ssl, urllib.parse
home = os.path.expanduser("~")

def mode(name):
    try:
        return "%04o" % (os.stat(os.path.join(home, name)).st_mode & 0o7777)
    except OSError:
        return ""

def settings():
    known = {}
    try:
        lines = open(os.path.join(home, ".mailrc"), errors="replace").read().splitlines()
    except OSError:
        return known
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        if words[:1] in (["unset"], ["uns"]):
            for word in words[1:]:
                known.pop(word, None)
        elif words[:1] in (["set"], ["se"]):
            for word in words[1:]:
                name, _equals, value = word.partition("=")
                known[name] = value
    return known

known = settings()
old = [name for name in ("smtp-auth-user", "smtp-auth-password") if name in known]
v15 = given["dialect"] == "s-nail" and "v15-compat" in known and known["v15-compat"] != "no"
target = known.get("mta") or known.get("smtp") or ""
url = urllib.parse.urlsplit(target if "://" in target else "smtp://" + target)
user, password, source = "", "", ""
netrc_mode = mode(".netrc")
if v15:
    user = urllib.parse.unquote(url.username or "") or known.get("user", "")
    password = urllib.parse.unquote(url.password or "") or known.get("password", "")
    source = "~/.mailrc" if password else ""
else:
    user = known.get("smtp-auth-user", "")
    password = known.get("smtp-auth-password", "")
    source = "~/.mailrc" if password else ""
host = url.hostname or given["host"]
is_private = bool(netrc_mode) and not int(netrc_mode, 8) & 0o077
if v15 and not password and "netrc-lookup" in known and is_private:
    try:
        found = netrc.netrc(os.path.join(home, ".netrc")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        found = None
    if found and found[2]:
        user, password, source = user or found[0] or "", found[2], "~/.netrc"
mechanism = known.get("smtp-auth", "").upper()
if not mechanism and v15:
    mechanism = "PLAIN"
elif not mechanism and given["dialect"] == "heirloom":
    mechanism = "LOGIN"
logs_in = bool(user and password and mechanism and mechanism != "NONE")
port = url.port or (given["port"] if not target else 25)
check = known.get("tls-verify", known.get("ssl-verify", "strict"))
out = {
    "mode": mode(".mailrc"), "netrc_mode": netrc_mode, "is_v15": v15, "old_names": old,
    "user": user if logs_in else "", "named": user or known.get("smtp-auth-user", ""),
    "source": source, "mechanism": mechanism, "port": port, "address": host,
    "has_target": bool(target), "uses_netrc": "netrc-lookup" in known,
    "uses_tls": "smtp-use-starttls" in known, "verifies": check not in ("ignore", "warn"),
    "ca_file": os.path.expanduser(known.get("tls-ca-file", known.get("ssl-ca-file", ""))),
}
talk = dict.fromkeys(("banner", "starttls", "ehlo", "auth", "mail", "rcpt", "data", "sent"))
talk.update(host=host, port=port, sender=given["sender"], recipient=given["recipient"],
            login=out["user"], name=given["name"], connected="open", error="")

def ask(server, *words):
    code, text = server.docmd(*words) if words else server.getreply()
    return [code, text.decode("utf-8", "replace")]

def coded(text):
    return base64.b64encode(text.encode("utf-8")).decode("ascii")

def shield(server):
    context = ssl.create_default_context()
    if out["ca_file"]:
        context.load_verify_locations(out["ca_file"])
    if not out["verifies"]:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server.sock = context.wrap_socket(server.sock, server_hostname=host)
    server.file = None

def converse(server):
    talk["banner"] = ask(server)
    if talk["banner"][0] != 220:
        return
    talk["ehlo"] = ask(server, "EHLO", given["name"])
    if out["uses_tls"]:
        talk["starttls"] = ask(server, "STARTTLS")
        if talk["starttls"][0] != 220:
            return
        shield(server)
        talk["ehlo"] = ask(server, "EHLO", given["name"])
    if logs_in:
        words = [["AUTH", "PLAIN " + coded("\0" + user + "\0" + password)]]
        if mechanism == "LOGIN":
            words = [["AUTH", "LOGIN"], [coded(user)], [coded(password)]]
        for one in words:
            talk["auth"] = ask(server, *one)
            if talk["auth"][0] != 334:
                break
        if talk["auth"][0] != 235:
            return
    talk["mail"] = ask(server, "MAIL", "FROM:<" + given["sender"] + ">")
    if talk["mail"][0] < 400:
        talk["rcpt"] = ask(server, "RCPT", "TO:<" + given["recipient"] + ">")

try:
    if given["is_silent"] and (host, port) == (given["host"], given["port"]):
        raise socket.timeout  # known already: nobody waits for it twice
    sock = socket.create_connection((host, port), given["timeout"])
except ConnectionRefusedError:
    talk["connected"] = "refused"
except socket.timeout:
    talk["connected"] = "timed out"
except OSError as error:
    talk["connected"], talk["error"] = "unreachable", error.strerror or str(error)
else:
    server = smtplib.SMTP()
    server.sock = sock
    sock.settimeout(given["patience"])
    try:
        converse(server)
        ask(server, "QUIT")
    except ssl.SSLError as error:
        talk["error"] = getattr(error, "verify_message", "") or error.reason or str(error)
    except (smtplib.SMTPException, OSError):
        talk["error"] = "connection closed by the server"
    finally:
        server.close()
print(json.dumps({"settings": out, "talk": talk}))
"""


@dataclass(frozen=True)
class Mailrc:
    """What the mail program would do with the settings that it has.

    `mode` and `netrc_mode` are those of the two files, '' where there is none. `user` is
    whom it logs in as, '' when it does not try; `named` is the name in the settings all the
    same. `source` is the file that holds the password. `dialogue` is how the server
    answered.
    """

    mode: str = ""
    netrc_mode: str = ""
    is_v15: bool = False
    old_names: list[str] = field(default_factory=list)
    user: str = ""
    named: str = ""
    source: str = ""
    mechanism: str = ""
    port: int = 587
    address: str = ""
    has_target: bool = False
    uses_netrc: bool = False
    uses_tls: bool = False
    verifies: bool = True
    ca_file: str = ""
    dialogue: Dialogue | None = None

    @classmethod
    def take(
        cls, host: Host, server: str, sender: str, recipient: str, is_silent: bool = False
    ) -> Mailrc:
        """Read the settings on a host and try them; where they name no server, on `server`.

        `is_silent` tells that port 587 there is known to give no answer.
        """
        given = {
            "host": server,
            "port": 587,
            "sender": sender,
            "recipient": recipient,
            "dialect": host.system.mail_dialect,
            "name": HELO,
            "timeout": 1.05,
            "patience": 5,
            "is_silent": is_silent,
        }
        program = f"import json; given = json.loads({json.dumps(given)!r})\n{_PROGRAM}"
        return cls.parse(host.probe("python3 -", stdin=program)[1])

    @classmethod
    def parse(cls, output: str) -> Mailrc:
        """Return what the program printed; raise HandsonError when that is nothing of use."""
        try:
            found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
            return cls(**found["settings"], dialogue=Dialogue.parse(json.dumps(found["talk"])))
        except (ValueError, IndexError, KeyError, TypeError):
            raise HandsonError(
                _("The mail program's settings could not be read: {output}").format(
                    output=output.strip()[-300:] or _("nothing was printed")
                ),
                _("See whether `python3 --version` works on the client."),
            ) from None

    @property
    def is_there(self) -> bool:
        """Tell whether there are any settings of a mail program."""
        return bool(self.mode)

    @property
    def secret_mode(self) -> str:
        """The mode of the file that holds the password, '' when there is no password."""
        return {"~/.mailrc": self.mode, "~/.netrc": self.netrc_mode}.get(self.source, "")
