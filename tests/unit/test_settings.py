"""What a learner may choose, and what is refused before anything can change."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from waiting import LONG

from handson import settings
from handson.errors import InvalidInput
from handson.settings import Settings


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("example.com", "example.com"),
        ("  Example.COM. ", "example.com"),
        ("example.com。", "example.com"),
        ("例え。jp．", "xn--r8jz45g.jp"),
        ("x" * 51 + ".example", "x" * 51 + ".example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("日本語.jp", "xn--wgv71a119e.jp"),
        ("a-b.mail.example.org", "a-b.mail.example.org"),
    ],
)
def test_domain_is_kept_in_ascii(typed: str, kept: str) -> None:
    assert settings.check_domain(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "localhost",
        "example.com; rm -rf /",
        "example.com\nrm",
        "$(id).com",
        "-a.com",
        "a..com",
        "203.0.113.5",
        "a_b.com",
        "x" * 64 + ".com",
        "example.com/../..",
        "example.com.。",
        "x" * 52 + ".example",
    ],
)
def test_domain_refused(typed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        settings.check_domain(typed)
    assert caught.value.cure
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("typed", ["smtp-auth", "a", "joe.doe_2", " joe "])
def test_user(typed: str) -> None:
    assert settings.check_user(typed) == typed.strip()


@pytest.mark.parametrize("typed", ["", "a@b", "-x", "a b", "a;b", "a'b", "x" * 33, "名前"])
def test_user_refused(typed: str) -> None:
    with pytest.raises(InvalidInput):
        settings.check_user(typed)


def test_address() -> None:
    assert settings.check_address(" a.b+c@Bücher.example ") == "a.b+c@xn--bcher-kva.example"
    assert settings.check_address("a@example.com。") == "a@example.com"
    # No certificate has its domain in it.
    assert settings.check_address(f"a@{'x' * 60}.example") == f"a@{'x' * 60}.example"


@pytest.mark.parametrize(
    "typed",
    [
        *("", "a", "@example.com", "a@", "a@localhost", "a..b@x.com", "a b@x.com", "`id`@x.com"),
        # A mail program takes the first for an option, an inline table parts the second at "=".
        *("-oQ@x.com", "a=b@x.com", ".a@x.com", "a.@x.com", "+a@x.com", "x" * 65 + "@x.com"),
        f"{'x' * 64}@{'y.' * 94}com",
    ],
)
def test_address_refused(typed: str) -> None:
    with pytest.raises(InvalidInput):
        settings.check_address(typed)


@pytest.mark.parametrize("typed", ["", "ayumi", " ayumi-2 ", "7", "a" * 20])
def test_learner(typed: str) -> None:
    assert Settings(learner=typed).learner == typed.strip()


@pytest.mark.parametrize(
    "typed", ["Ayumi", "a_b", "a b", "-a", "a-", "a--b", "歩", "a;id", "a" * 21]
)
def test_learner_refused(typed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings(learner=typed)
    assert "20" in caught.value.cure
    assert len(str(caught.value).splitlines()) == 2


def test_ip() -> None:
    assert settings.check_ip(" 203.0.113.5 ") == "203.0.113.5"
    for typed in ("", "203.0.113.256", "203.0.113", "::1", "1.2.3.4/32"):
        with pytest.raises(InvalidInput):
            settings.check_ip(typed)


def test_network() -> None:
    assert settings.check_network("10.87.0.0/16") == "10.87.0.0/16"
    assert settings.check_network("10.87.0.0/20") == "10.87.0.0/20"
    for typed in ("", "10.87.0.1/16", "10.0.0.0/8", "10.87.0.0/24", "fd00::/64", "127.0.0.0/16"):
        with pytest.raises(InvalidInput):
            settings.check_network(typed)


@pytest.mark.parametrize("typed", ["abcdefgh", "A1b2C3d4!%&", "x" * 64])
def test_password(typed: str) -> None:
    assert settings.check_password(typed) == typed


@pytest.mark.parametrize(
    "typed", ["short", "x" * 65, "with space", "back\\slash1", "do$llar12", "quo'te123", "número12"]
)
def test_password_refused_without_being_shown(typed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        settings.check_password(typed)
    assert typed not in str(caught.value)


def test_region() -> None:
    assert settings.check_region(" AP-northeast-1 ") == "ap-northeast-1"
    assert settings.check_region("us-gov-west-1") == "us-gov-west-1"
    for typed in ("", "tokyo", "ap-northeast", "ap-northeast-1; id"):
        with pytest.raises(InvalidInput):
            settings.check_region(typed)


def test_date() -> None:
    assert settings.check_date("20251124") == "20251124"
    for typed in (
        "",
        "20251324",
        "2025112",
        "2025-11-24",
        "today",
        "2025 124",
        "9" * 16,
        "20251124" * 2,
    ):
        with pytest.raises(InvalidInput):
            settings.check_date(typed)


def test_defaults_are_valid_and_dated() -> None:
    chosen = Settings()
    assert settings.check_date(chosen.date) == chosen.date
    assert chosen.target == "lab"


def test_addresses_lie_in_their_subnets() -> None:
    chosen = Settings(vpc_cidr="10.99.0.0/16")
    assert chosen.server_ip == "10.99.2.44"
    assert chosen.client_ip == "10.99.3.20"
    assert chosen.stranger_ip == "10.99.3.30"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target", "cloud"),
        ("system", "debian"),
        ("system", "al2"),
        ("domain", "x"),
        ("user", "a b"),
        ("sender", "x"),
        ("recipient", "x"),
        ("own_ip", "here"),
        ("region", "tokyo"),
        ("vpc_cidr", "all"),
        ("date", "today"),
    ],
)
def test_every_field_is_checked(field: str, value: str) -> None:
    with pytest.raises(InvalidInput):
        Settings(**{field: value})


def test_with_checks_again_and_leaves_the_first_alone() -> None:
    first = Settings(date="20251124")
    assert first.with_(domain="Example.ORG").domain == "example.org"
    assert first.domain == "example.com"
    with pytest.raises(InvalidInput):
        first.with_(domain="x")


def test_as_dict_makes_the_same_again() -> None:
    chosen = Settings(domain="example.org", own_ip="203.0.113.5")
    assert Settings(**chosen.as_dict()) == chosen


def test_long_and_unprintable_input_is_shortened_in_the_sentence() -> None:
    with pytest.raises(InvalidInput) as caught:
        settings.check_user("\x1b[31m" + "x" * 500)
    assert "\x1b" not in str(caught.value)
    assert len(caught.value.what) < 120


def test_a_long_domain_is_told_its_bound() -> None:
    with pytest.raises(InvalidInput, match="63 characters") as caught:
        settings.check_domain("x" * 55 + ".example")
    assert "59" in caught.value.cure


def test_environment() -> None:
    environ = {"HANDSON_USER": "joe", "HANDSON_REGION": "", "HANDSON_PASSWORD": "abcdefgh"}
    assert settings.from_environment(environ) == {"user": "joe"}


def test_password_from_environment() -> None:
    found = settings.password_from_environment({"HANDSON_PASSWORD": "abcdefgh"})
    assert found is not None
    assert found.reveal() == "abcdefgh"
    assert settings.password_from_environment({}) is None
    with pytest.raises(InvalidInput):
        settings.password_from_environment({"HANDSON_PASSWORD": "x"})


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("admin@192.0.2.10", "admin@192.0.2.10"),
        (" admin@192.0.2.10:22 ", "admin@192.0.2.10"),
        ("joe.doe@mail.example.com:2222", "joe.doe@mail.example.com:2222"),
    ],
)
def test_where_to_log_in(typed: str, kept: str) -> None:
    assert settings.check_login(typed) == kept
    assert Settings(server=typed).server == kept


@pytest.mark.parametrize(
    "typed",
    [
        "192.0.2.10",
        "a b@x",
        "admin@",
        "admin@x:0",
        "admin@x:70000",
        "admin@-oProxy",
        "-l@x",
        "a@x;id",
    ],
)
def test_where_to_log_in_refused(typed: str) -> None:
    with pytest.raises(InvalidInput):
        settings.check_login(typed)


def test_host_key() -> None:
    data = "AAAAC3NzaC1lZDI1NTE5AAAAIJHiG0AFDGbEW3GWgVEJc3V8f0jyXOBSo2kNSJZrJo3J"
    assert settings.check_host_key(f"ssh-ed25519 {data} root@x") == f"ssh-ed25519 {data}"
    for typed in ("", "ssh-ed25519", data, f"ssh-rsa {data}", "ssh-ed25519 AAAA", "ssh-ed25519 %"):
        with pytest.raises(InvalidInput):
            settings.check_host_key(typed)


def test_addresses_of_own_hosts_have_names_of_their_own() -> None:
    environ = {"HANDSON_SERVER": "a@192.0.2.1", "HANDSON_SERVER_IP": "10.0.0.1"}
    found = settings.from_environment(environ)
    assert found == {"server": "a@192.0.2.1", "server_address": "10.0.0.1"}
    assert Settings(**found).server_ip == "10.0.0.1"
    assert Settings(**found).client_ip == "10.87.3.20"


def test_a_variable_that_the_course_does_not_know_names_the_nearest() -> None:
    for typed, near in {
        "HANDSON_DOMIAN": "HANDSON_DOMAIN",
        "HANDSON_SERVER_ADDRESS": "HANDSON_SERVER",
        "HANDSON_WORKSPACES": "HANDSON_WORKSPACE",
        "HANDSON_X": "HANDSON_",
    }.items():
        for read in (settings.from_environment, settings.password_from_environment):
            with pytest.raises(InvalidInput, match=typed) as refused:
                read({typed: "x"})
            assert near in refused.value.cure and f"unset {typed}" in refused.value.cure
    others = {"HANDSON_SEED": "7", "HANDSON_LONG": "1", "_HANDSON_COMPLETE": "bash_complete"}
    assert settings.from_environment(others | {"HANDSON": "x", "HANDSOME": "x"}) == {}


def test_no_other_module_reads_the_courses_variables() -> None:
    package = Path(settings.__file__).parent
    reading = re.compile(r"environ\S*HANDSON_|getenv|envvar|environ\S*\b(?:FAULT|HEADLESS)")
    found = [path.name for path in package.rglob("*.py") if reading.search(path.read_text())]
    assert found == ["settings.py"]


@pytest.mark.parametrize("typed", ["a\0b", "~/k\x1b[2J", "\ud800"])
def test_a_key_file_that_cannot_be_one(typed: str) -> None:
    with pytest.raises(InvalidInput):
        Settings(ssh_key=typed)


def test_no_choice_raises_another_error_and_each_is_kept_as_it_is_checked() -> None:
    draw = random.Random(7)
    parts = [
        *"-.@=:/ \t\n\0\x1b。．é日\ud800\u202e'\"{}$;0123456789",
        "xn--",
        "a",
        "9" * 16,
        "x" * 64,
    ]
    parts += ["example", ".com", "smtp", "ssh-ed25519 ", "AAAA", "user@", "10.87.0.0", "/16", "-1"]
    for name, check in settings.CHECKS.items():
        good = str(getattr(Settings(), name))
        for _number in range(5_000 if LONG else 200):
            text = "".join(draw.choices([*parts, good], k=draw.randrange(7)))
            try:
                kept = check(text)
            except InvalidInput as refused:
                assert refused.cure and len(str(refused).splitlines()) == 2, (name, text)
                str(refused).encode()
            except Exception as error:
                raise AssertionError((name, text)) from error
            else:
                assert check(kept) == kept, (name, text)
                kept.encode()
