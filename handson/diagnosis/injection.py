"""Keeping aside what a fault changes, changing it, and putting it back, on one host."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from handson.diagnosis.fault import Part
from handson.errors import CommandFailed, HandsonError
from handson.hosts import script
from handson.hosts.host import Host
from handson.i18n import _

if TYPE_CHECKING:
    from handson.mail.observation import Observation

FOLDER = "/var/lib/smtp-handson/faults"


def kept(host: Host) -> list[str]:
    """Return the ids under which something is kept aside on a host."""
    return host.probe("sudo -n ls {folder} 2>/dev/null", folder=FOLDER)[1].split()


def note(host: Host, id: str) -> str:
    """Return what was noted when the fault was injected."""
    return host.read("sudo -n cat {file}", file=f"{FOLDER}/{id}/note")


def forget(host: Host, id: str) -> None:
    """Remove what is kept aside for a fault."""
    host.read("sudo -n rm -rf {folder}", folder=f"{FOLDER}/{id}")


def keep(host: Host, id: str, part: Part, text: str = "") -> None:
    """Copy the files of a fault aside, with owner, mode and time, and note what runs."""
    files = " ".join(_paths(host, part))
    known = {"files": files, "id": id, "note": text}
    script.run(host, script.read(__package__, "keep.sh"), known)


def change(observed: Observation, host: Host, part: Part) -> None:
    """Do what the fault does on this host."""
    if part.mailrc:
        # On standard input, and not through Host.write, which tells the command log.
        command = "umask 077; rm -f ~/.mailrc ~/.netrc; cat > ~/.mailrc"
        status, output = host.probe(command, stdin=host.text(part.mailrc))
        if status:
            raise CommandFailed(host.name, "cat > ~/.mailrc", status, output)
    if part.script:
        is_server = host is observed.server
        known = _known(observed) if is_server else {"server_ip": observed.settings.server_ip}
        script.run(host, f"set -e\n{part.script}", known, as_root=is_server)


def restore(observed: Observation, host: Host, id: str, part: Part) -> None:
    """Put everything back as it was kept, and tell the services."""
    before = "systemctl stop rsyslog" if "/var/log/mail.log" in part.files else ":"
    known = {"id": id, "before": before, "after": part.after or ":"}
    if host is observed.server:
        # `install` and the package's name, for a part that has to install something again.
        known |= _system(observed)
    script.run(host, script.read(__package__, "restore.sh"), known)


def _system(observed: Observation) -> dict[str, str]:
    system = observed.server.system
    return {
        "conf": system.smtpd_conf,
        "ignored": system.ignored_folder,
        "install": " ".join(system.install),
        "package": system.plain_package,
    }


def _known(observed: Observation) -> dict[str, str]:
    """Return what a script on the server may name."""
    survey, settings = observed.survey, observed.settings
    service = survey.submission
    if service is None or not re.fullmatch(r"[\w.:-]+", service.name):
        raise HandsonError(
            _("There is no submission service that a fault could be injected in."),
            _("Go through the steps to 06_mailx_test first."),
        )
    return {
        **_system(observed),
        "service": service.key,
        "name": service.name,
        "database": survey.database,
        "domain": settings.domain,
        "user": settings.user,
        "server_ip": settings.server_ip,
    }


def _paths(host: Host, part: Part) -> list[str]:
    """Return the files of a part as absolute paths of this host."""
    system = host.system
    home = host.read("echo ~").strip() if any(one.startswith("~") for one in part.files) else ""
    database = host.read(
        "sudo -n sed -n 's/^sasldb_path:[[:space:]]*//p' {conf} | head -n 1", conf=system.smtpd_conf
    ).strip()
    words = {
        "$database": database or system.sasldb,
        "$conf": system.smtpd_conf,
        "$ignored": system.ignored_folder,
        "~": home,
    }
    paths = []
    for path in part.files:
        for word, value in words.items():
            path = path.replace(word, value)
        paths.append(path)
    return paths


# -- the security group -------------------------------------------------------


def rules_to_close(observed: Observation) -> str:
    """Return the rules that open port 587, as JSON; raise HandsonError where that is not all."""
    group = observed.cloud.names.server_group
    opening = [rule for rule in observed.cloud.rules(group) if rule.opens(587)]
    for rule in opening:
        if rule.port != "587" or "/" not in rule.source:
            raise HandsonError(
                _("The rule {port} ← {source} opens more than port 587 for a network.").format(
                    port=rule.port, source=rule.source
                ),
                _("Choose another fault: `handson break --list`."),
            )
    return json.dumps([[rule.source, rule.description] for rule in opening])


def close_port(observed: Observation, note: str) -> None:
    for source, _description in json.loads(note):
        observed.cloud.close_port(587, source)


def reopen_port(observed: Observation, note: str) -> None:
    for source, description in json.loads(note or "[]"):
        observed.cloud.open_port(587, source, description)
