"""Everything typed in a terminal, with an editor's means: the checks judge what is there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from finished import SLUGS
from looking import WORKER
from solving import at_start
from waiting import NEVER

from handson.course import checks, outline
from handson.course.step import Step

pytestmark = pytest.mark.slow(minutes=2)

NAME = f"byhand{WORKER}"

SASL = """\
sudo apt-get install -y -q sasl2-bin libsasl2-modules
printf 'mech_list: PLAIN\\npwcheck_method: auxprop\\n' | sudo tee /etc/postfix/sasl/smtpd.conf
printf %s "$password" | sudo saslpasswd2 -p -c -u example.com smtp-auth
sudo chgrp postfix /etc/sasldb2 && sudo chmod 640 /etc/sasldb2
"""
POSTFIX = """\
sudo tee -a /etc/postfix/main.cf <<'END'
smtpd_recipient_restrictions =
    permit_mynetworks
    reject_unauth_destination
smtpd_sasl_auth_enable = yes
END
sudo tee -a /etc/postfix/master.cf <<'END'
587       inet  n       -       n       -       -       smtpd
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
END
sudo systemctl restart postfix
"""
ONLY_LOOPBACK = """\
sudo sed -i 's,^mynetworks *=.*,mynetworks = 127.0.0.1,' /etc/postfix/main.cf
sudo postfix reload
"""
LOGIN_RELAYS = """\
sudo sed -i 's,^    permit_mynetworks,    permit_sasl_authenticated,' /etc/postfix/main.cf
sudo postfix reload
"""
MAILRC = """\
umask 077
cat > ~/.mailrc <<END
set v15-compat sendwait
set mta=smtp://smtp-auth%40example.com:$password@$server:587 smtp-auth=plain
END
"""
SEND = "echo hello | s-nail -s typed -r hello@example.com friend@example.net"
WITHOUT_LOGIN = """\
export MAILRC=/dev/null
echo hello | s-nail -S v15-compat -S sendwait -S smtp-auth=none -S mta=smtp://$server:587 \\
  -s typed -r hello@example.com friend@example.net
"""


@pytest.fixture
def step(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Step]:
    """The hosts as 00_start makes them."""
    with at_start(NAME, tmp_path_factory.mktemp("home")) as found:
        yield found


def test_typed_in_a_terminal(step: Step) -> None:
    # It needs no quoting in a shell or in an address.
    password = step.password.reveal()

    def typed(host: str, script: str, password: str = password) -> int:
        """Run a script in `handson ssh HOST`, as somebody would type it."""
        known = f"password={password}\nserver={step.settings.server_ip}\n"
        command = [sys.executable, "-m", "handson.cli.main", "ssh", "--name", NAME, host, "sh"]
        ended = subprocess.run(
            command,
            input=known + script,
            text=True,
            capture_output=True,
            timeout=NEVER,
            check=False,
        )
        print(ended.stdout, ended.stderr)
        return ended.returncode

    assert not all(
        result.ok
        for slug in SLUGS
        for result in checks.run(outline.step(slug).rules, step.observe())
    )
    step.cloud.open_port(587, f"{step.settings.client_ip}/32")
    assert typed("server", SASL) == 0
    assert typed("server", POSTFIX) == 0
    assert typed("client", "sudo apt-get install -y -q s-nail") == 0
    assert typed("client", WITHOUT_LOGIN) != 0
    assert typed("client", MAILRC, "not-the-password") == 0
    assert typed("client", SEND) != 0
    assert typed("client", MAILRC) == 0
    assert typed("client", SEND) == 0
    assert typed("server", ONLY_LOOPBACK) == 0
    assert typed("client", SEND) != 0
    assert typed("server", LOGIN_RELAYS) == 0
    assert typed("client", SEND) == 0
    step.received("typed")

    failing = {
        result.id: f"{result.evidence} {result.cause}"
        for slug in SLUGS
        for result in checks.run(outline.step(slug).rules, step.observe())
        if not result.ok
    }
    assert failing == {}
