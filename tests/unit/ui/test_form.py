"""The form checks what is typed, and sets values only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import ipywidgets
import pytest
from ipywidgets.widgets.widget import _instances

from handson.cloud.targets import KINDS
from handson.errors import InvalidInput
from handson.settings import Settings
from handson.ui.form import SettingsForm, hints, labels
from handson.ui.view import escape

CANARY = "canary-7f3a-XYZ"


@pytest.fixture
def form() -> Iterator[SettingsForm]:
    yield SettingsForm(Settings(date="20251124"), False, KINDS)
    ipywidgets.Widget.close_all()


def note(form: SettingsForm, name: str) -> str:
    return str(form._notes[name].value)


def test_it_is_prefilled() -> None:
    given = Settings(
        target="aws", region="eu-west-1", learner="ayumi", domain="example.org",
        user="joe", sender="a@example.org", recipient="b@example.net", own_ip="203.0.113.5",
        date="20251124",
    )  # fmt: skip
    form = SettingsForm(given, False, KINDS)
    assert form.settings() == given
    # The rest is for variables: few need it, and what is in it is not typed by hand.
    rest = set(given.as_dict()) - set(form.values())
    assert set(form.values()) < set(given.as_dict())
    assert {name for name in rest if not name.endswith(("_host_key", "_address"))} == {
        "vpc_cidr",
        "date",
        "submission_source",
        "stranger",
    }


def test_every_field_has_a_label_and_a_hint(form: SettingsForm) -> None:
    assert set(labels()) == set(hints()) == {*form.fields, "password"}
    for name in form.fields:
        assert escape(hints()[name]) in note(form, name)


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("domain", "example.com; rm -rf /", "example.org"),
        ("user", "a b", "joe"),
        ("sender", "x", "a@example.org"),
        ("recipient", "x", "a@example.org"),
        ("own_ip", "1.2.3", "203.0.113.5"),
    ],
)
def test_a_sentence_in_red_comes_and_goes(
    form: SettingsForm, name: str, bad: str, good: str
) -> None:
    others = {other: note(form, other) for other in labels() if other != name}
    values = form.values()
    form.fields[name].value = bad
    assert 'class="bad"' in note(form, name)
    assert list(form.errors) == [name]
    assert {other: note(form, other) for other in others} == others
    assert form.values() == {**values, name: bad}
    with pytest.raises(InvalidInput) as caught:
        form.settings()
    assert caught.value.what.startswith(f"{labels()[name]}: ")
    form.fields[name].value = good
    assert 'class="bad"' not in note(form, name)
    assert form.errors == {}
    assert getattr(form.settings(), name) == good


def test_what_was_typed_is_escaped(form: SettingsForm) -> None:
    form.fields["domain"].value = "<img src=x>"
    assert "<img" not in note(form, "domain")


def test_the_sender_follows_the_domain(form: SettingsForm) -> None:
    form.fields["domain"].value = "exa"
    assert form.fields["sender"].value == "hello@example.com"
    form.fields["domain"].value = "bücher.example"
    assert form.fields["sender"].value == "hello@xn--bcher-kva.example"


def test_a_sender_of_ones_own_does_not_follow(form: SettingsForm) -> None:
    form.fields["sender"].value = "me@example.com"
    form.fields["domain"].value = "example.org"
    assert form.fields["sender"].value == "me@example.com"


def test_the_login_name_is_shown(form: SettingsForm) -> None:
    assert "<code>smtp-auth@example.com</code>" in form._preview.value
    form.fields["user"].value = "joe"
    assert "<code>joe@example.com</code>" in form._preview.value
    form.fields["user"].value = "j o e"
    assert "<code>–</code>" in form._preview.value


def test_fields_of_aws_are_hidden_in_the_lab(form: SettingsForm) -> None:
    rows = [form._rows[name].layout for name in ("region", "system", "learner")]
    assert [row.display for row in rows] == ["none"] * 3
    assert "AWS region" not in form.text()
    form.fields["target"].value = "aws"
    assert [row.display for row in rows] == [None] * 3
    assert "AWS region" in form.text()
    assert re.search(r"Your name in all names +–", form.text())


def test_a_hidden_field_stops_nobody(form: SettingsForm) -> None:
    form.fields["region"].value = "tokyo"
    assert form.errors == {}
    assert form.settings().region == "ap-northeast-1"
    form.fields["target"].value = "aws"
    assert list(form.errors) == ["region"]
    with pytest.raises(InvalidInput, match="AWS region"):
        form.settings()


def test_a_password_is_made_unless_one_is_wanted(form: SettingsForm) -> None:
    assert form.make_password.value is True
    assert form.password.disabled is True
    assert form.take_password() is None


def test_a_typed_password_is_taken_once(form: SettingsForm) -> None:
    form.make_password.value = False
    form.password.value = CANARY
    secret = form.take_password()
    assert secret is not None
    assert secret.reveal() == CANARY
    assert form.password.value == ""
    assert form.take_password() is None


def test_a_password_that_cannot_be_used_is_cleared_too(form: SettingsForm) -> None:
    form.make_password.value = False
    form.password.value = "short"
    assert 'class="bad"' in note(form, "password")
    with pytest.raises(InvalidInput, match="Password"):
        form.take_password()
    assert form.password.value == ""


def test_no_password_at_all_is_refused(form: SettingsForm) -> None:
    form.make_password.value = False
    with pytest.raises(InvalidInput, match="none was typed"):
        form.take_password()


def test_a_password_kept_already_stays() -> None:
    form = SettingsForm(Settings(), True, KINDS)
    assert "keep" in form.make_password.description
    form.make_password.value = False
    assert form.take_password() is None


def test_the_password_is_in_no_face(form: SettingsForm) -> None:
    form.make_password.value = False
    form.password.value = CANARY
    faces = [form.text(), repr(form), json.dumps(form._repr_mimebundle_()), str(form.values())]
    faces += [note(form, "password"), str(form.errors)]
    assert CANARY not in "".join(faces)
    form.take_password()
    states = [widget.get_state() for widget in _instances.values()]
    assert CANARY not in str(states) + str(vars(form))


def test_the_text_face_is_the_same_each_time(form: SettingsForm) -> None:
    again = SettingsForm(Settings(date="20251124"), False, KINDS)
    assert form._repr_mimebundle_()["text/plain"] == again._repr_mimebundle_()["text/plain"]
    assert form.widget.model_id not in form.text()
    assert form.text().splitlines()[2] == "Where to run      lab"


def test_it_is_shown_as_a_widget(form: SettingsForm) -> None:
    view = form._repr_mimebundle_()["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == form.widget.model_id


def test_it_has_no_button_that_does_work(form: SettingsForm) -> None:
    kinds = {type(widget) for widget in _instances.values()}
    assert ipywidgets.Button not in kinds


def test_where_to_log_in_is_asked_for_hosts_of_ones_own(form: SettingsForm) -> None:
    assert "Private key" not in form.text()
    form.fields["target"].value = "ssh"
    assert "AWS region" not in form.text() and "Private key" in form.text()
    form.fields["server"].value = "192.0.2.10"
    assert list(form.errors) == ["server"]
    form.fields["server"].value = "admin@192.0.2.10"
    assert form.settings().server == "admin@192.0.2.10"


@pytest.mark.parametrize("typed", ["smtp-auth", "SMTP-Auth@e", "hello@example.com", "example.net"])
def test_a_password_that_everybody_sees_is_refused(form: SettingsForm, typed: str) -> None:
    form.make_password.value = False
    form.password.value = typed
    with pytest.raises(InvalidInput, match="no secret") as refused:
        form.take_password()
    assert typed not in str(refused.value)
    assert form.password.value == ""
    with pytest.raises(InvalidInput, match="none was typed"):
        form.take_password()


def test_a_recipient_that_needs_no_relay_is_refused(form: SettingsForm) -> None:
    form.fields["recipient"].value = "friend@Example.COM"
    with pytest.raises(InvalidInput, match="own domain") as refused:
        form.settings()
    assert "another domain" in refused.value.cure
    form.fields["recipient"].value = "friend@sub.example.com"
    assert form.settings().recipient == "friend@sub.example.com"
