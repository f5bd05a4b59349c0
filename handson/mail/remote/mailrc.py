"""Read a mail program's settings, and try the login in them. Runs on a host: see `dialogue`.

`handson.mail.mailrc` sends it behind `dialogue`, whose `hold` it is given. No password
leaves the host: what is printed tells only whether there is one.
"""

import contextlib
import json
import netrc
import os
import shlex
import urllib.parse
from typing import Any, Callable, Dict, Optional, Tuple

HOME = os.path.expanduser("~")


def mode(name: str) -> str:
    try:
        return "%04o" % (os.stat(os.path.join(HOME, name)).st_mode & 0o7777)
    except OSError:
        return ""


FILES = ("/etc/mail.rc", "/etc/nail.rc", "/etc/s-nail.rc", "~/.mailrc")


def read_settings() -> Tuple[Dict[str, str], Dict[str, str]]:
    """Return what is set for Heirloom mailx or s-nail, and in which file each is set."""
    known: Dict[str, str] = {}
    origin: Dict[str, str] = {}
    for name in FILES:
        with contextlib.suppress(OSError), open(os.path.expanduser(name), errors="replace") as file:
            before = dict(known)
            read_file(file.read(), known)
            origin.update({key: name for key in known if known[key] != before.get(key)})
    return known, origin


def read_file(text: str, known: Dict[str, str]) -> None:
    is_in_force = True
    for line in text.replace("\\\n", " ").splitlines():
        # What stands in an account holds only where that account is chosen.
        if line.split()[:1] == ["account"] and line.rstrip().endswith("{"):
            is_in_force = False
        if line.strip() == "}":
            is_in_force = True
        if not is_in_force:
            continue
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


def look_up(host: str) -> Optional[Tuple[str, Optional[str], Optional[str]]]:
    """Return what `~/.netrc` says of a host, where nobody else may read it."""
    found = mode(".netrc")
    if not found or int(found, 8) & 0o077:
        return None
    try:
        return netrc.netrc(os.path.join(HOME, ".netrc")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None


def port_of(url: urllib.parse.SplitResult) -> Optional[int]:
    """Return the port, None where there is none: what urllib says of one may hold a password."""
    try:
        return url.port
    except ValueError:
        return None


def report(given: Dict[str, Any], hold: Callable[..., Dict[str, Any]]) -> None:
    """Print the settings, and what the server answers that they name (else the one of `given`)."""
    known, origin = read_settings()
    old = [name for name in ("smtp-auth-user", "smtp-auth-password") if name in known]
    v15 = given["dialect"] == "s-nail" and "v15-compat" in known and known["v15-compat"] != "no"
    target = known.get("mta") or known.get("smtp") or ""
    url = urllib.parse.urlsplit(target if "://" in target else "smtp://" + target)
    host = url.hostname or given["job"]["host"]
    is_implicit = url.scheme in ("smtps", "submissions")
    port = port_of(url) or (given["job"]["port"] if not target else 465 if is_implicit else 25)
    if v15:
        user = urllib.parse.unquote(url.username or "") or known.get("user", "")
        password = urllib.parse.unquote(url.password or "") or known.get("password", "")
    else:
        user = known.get("smtp-auth-user", "")
        password = known.get("smtp-auth-password", "")
    holder = ("mta" if url.password else "password") if v15 else "smtp-auth-password"
    source = origin.get(holder, "~/.mailrc") if password else ""
    if v15 and not password and "netrc-lookup" in known:
        found = look_up(host)
        if found and found[2]:
            user, password, source = user or found[0] or "", found[2], "~/.netrc"
    mechanism = known.get("smtp-auth", "").upper()
    if not mechanism and v15:
        mechanism = "PLAIN"
    elif not mechanism and given["dialect"] == "heirloom":
        mechanism = "LOGIN"
    logs_in = bool(user and password and mechanism and mechanism != "NONE")
    check = known.get("tls-verify", known.get("ssl-verify", "strict"))
    out = {
        "mode": mode(".mailrc"),
        "netrc_mode": mode(".netrc"),
        "is_v15": v15,
        "old_names": old,
        "user": user if logs_in else "",
        "named": user or known.get("smtp-auth-user", ""),
        "source": source,
        "secret_mode": mode(os.path.expanduser(source)) if source else "",
        "mechanism": mechanism,
        "port": port,
        "address": host,
        "has_target": bool(target),
        "uses_netrc": "netrc-lookup" in known,
        "uses_tls": is_implicit or "smtp-use-starttls" in known,
        "verifies": check not in ("ignore", "warn"),
        "ca_file": os.path.expanduser(known.get("tls-ca-file", known.get("ssl-ca-file", ""))),
    }
    job = dict(given["job"], host=host, port=port, login=out["user"], password=password)
    job.update(mechanism=mechanism, deadline=float("inf"), implicit=is_implicit)
    if out["uses_tls"]:
        job["tls"] = {"verifies": out["verifies"], "ca_file": out["ca_file"]}
    # Known already to be silent: nobody waits for it twice.
    is_same = (host, port) == (given["job"]["host"], given["job"]["port"])
    talk = hold(job, ("timed out", "", None) if given["is_silent"] and is_same else None)
    print(json.dumps({"settings": out, "talk": talk}))
