"""A secret shows itself nowhere, and every spelling of it is found."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle

import pytest

from handson.secret import MASK, Output, Secret, encodings, masked, remember, scrub
from handson.settings import check_password

CANARY = "canary-7f3a"
SECOND = Secret("second-1&2")


def test_no_text_face_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(CANARY)
    logging.getLogger("x").warning("%s %r", secret, secret)
    faces = [str(secret), repr(secret), f"{secret}", "%s" % secret, str([secret])]  # noqa: UP031
    assert CANARY not in "".join(faces) + caplog.text
    assert MASK in caplog.text


def test_it_is_not_written_by_accident() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        copy.copy(Secret(CANARY))
    with pytest.raises(TypeError):
        json.dumps({"password": Secret(CANARY)})
    assert not hasattr(Secret(CANARY), "__dict__")


def test_equality() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("ü")}) == 2


def test_generated_ones_are_usable_and_differ() -> None:
    first, second = Secret.generate(), Secret.generate()
    assert first != second
    assert check_password(first.reveal()) == first.reveal()
    assert len(Secret.generate(32).reveal()) == 32


def test_scrub_finds_every_spelling() -> None:
    login = f"\0joe@example.com\0{CANARY}".encode()
    with_authzid = f"joe@example.com\0joe@example.com\0{CANARY}".encode()
    lines = [
        f"password={CANARY}",
        base64.b64encode(login).decode(),
        base64.b64encode(with_authzid).decode(),
        base64.b64encode(CANARY.encode()).decode(),
    ]
    clean = scrub("\n".join(lines), Secret(CANARY), ["joe@example.com"])
    assert clean.count(MASK) == 4
    for spelling in encodings(Secret(CANARY), ["joe@example.com"]):
        assert spelling not in clean


def test_scrub_leaves_other_text() -> None:
    assert scrub("250 2.0.0 Ok", Secret(CANARY), ["joe"]) == "250 2.0.0 Ok"
    assert scrub("anything", None) == "anything"
    assert scrub("anything", Secret("")) == "anything"


def test_the_longest_spellings_go_first() -> None:
    # A base64 form may contain the password itself when that is short.
    spellings = encodings(Secret("abc"), ["joe"])
    assert spellings[-1] == "abc"
    assert len(spellings) == 4


def test_what_a_host_printed_is_read_as_it_is_and_shown_masked() -> None:
    # The user, a word of an answer and a base64 that holds the password are facts.
    remember(Secret("smtp-auth"), ["joe@example.com"])
    printed = Output("smtp-auth@example.com: userPassword\n")
    assert printed.split("@")[0] == "smtp-auth"
    assert printed == "smtp-auth@example.com: userPassword\n"
    assert json.loads(json.dumps(printed)) == printed
    for face in (str(printed), f"{printed}", "%s" % printed, repr(printed), str((0, printed))):  # noqa: UP031
        assert "smtp-auth" not in face and MASK in face


def test_every_secret_that_was_remembered_is_masked() -> None:
    remember(Secret("first-one"))
    remember(Secret("second-1&2"), ["joe"])
    remember(None, ["joe"])
    text = masked(f"first-one second-1&2 second-1%262 second-1&amp;2 {encodings(SECOND, ['joe'])}")
    assert "first" not in text and "second" not in text
    assert masked("joe") == "joe"
