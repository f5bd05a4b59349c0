"""What was there before a step: recorded on the host itself, so that any later kernel finds it.

Taken when a step is begun, and once when the hosts are made ('start'). A dated backup tells
how one file was; this tells the rest: which packages there were, who owned sasldb, what
main.cf said when 06_mailx_test began.
"""

from __future__ import annotations

import shlex

from handson.errors import CommandFailed
from handson.hosts.host import Host

FOLDER = "/var/lib/smtp-handson/before"
START = "start"

# A record gets its name at the end: one that has it is complete.
_TAKE = r"""
set -eu
home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
for name in $names; do
  [ ! -d "$folder/$name" ] || continue
  draft=$folder/.$name.$$
  install -d -m 0700 /var/lib/smtp-handson "$folder" "$draft"
  if command -v dpkg-query >/dev/null; then
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p'
  else
    rpm -qa --qf '%{NAME}\n'
  fi > "$draft/packages"
  for file in $files; do
    [ -e "$file" ] || continue
    mkdir -p "$draft${file%/*}"
    cp -a "$file" "$draft$file"
  done
  [ ! -e "$home/.mailrc" ] || cp -a "$home/.mailrc" "$draft/mailrc"
  [ ! -e "$database" ] || stat -c '%U:%G %a' "$database" > "$draft/sasldb"
  mv -T "$draft" "$folder/$name" 2>/dev/null || rm -rf "$draft"
done
"""

# A run that was killed leaves its installation going on, or half done.
_SETTLE = r"""
tries=0
while pgrep -x 'apt-get|dpkg|dnf|yum|rpm' >/dev/null && [ $tries -lt 240 ]; do
  sleep 0.25
  tries=$((tries + 1))
done
if command -v dpkg >/dev/null && [ -n "$(dpkg --audit; ls /var/lib/dpkg/updates)" ]; then
  DEBIAN_FRONTEND=noninteractive dpkg --configure -a
fi
"""


def take(host: Host, *names: str) -> None:
    """Record what is there on a host under these names; a record that is there is kept."""
    system = host.system
    files = ("/etc/postfix/main.cf", "/etc/postfix/master.cf", system.smtpd_conf)
    known = {
        "names": " ".join(names),
        "files": " ".join(files),
        "database": system.sasldb,
        "folder": FOLDER,
    }
    run_as_root(host, _TAKE, known)


def settle(host: Host) -> None:
    """Let a package manager that is at work come to its end, and complete what broke off."""
    run_as_root(host, _SETTLE, {})


def forget(host: Host, slug: str) -> None:
    """Remove what was recorded before a step."""
    host.read("sudo -n rm -rf {folder}", folder=f"{FOLDER}/{slug}")


def has(host: Host, name: str, file: str = "") -> bool:
    """Tell whether there is a record of that name, and that file in it."""
    return bool(host.facts.file(f"{FOLDER}/{name}/{file}").exists)


def added(host: Host, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of these packages that are there now and were not at the start."""
    if not has(host, START):
        return ()
    old = host.facts.file(f"{FOLDER}/{START}/packages").content_string.split()
    return tuple(n for n in names if n not in old and host.facts.package(n).is_installed)


def run_as_root(host: Host, script: str, known: dict[str, str]) -> str:
    """Run a shell script as root, with `known` as its variables, and return what it printed."""
    head = "export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8\n"
    head += "".join(f"{name}={shlex.quote(value)}\n" for name, value in known.items())
    status, output = host.probe("sudo -n sh -s", stdin=head + script)
    if status:
        raise CommandFailed(host.name, "sudo sh -s", status, output)
    return output
