"""The form in which a learner chooses: it checks what is typed and sets values, no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import ipywidgets as widgets

from handson.errors import InvalidInput
from handson.i18n import _
from handson.secret import Secret
from handson.settings import (
    CHECKS,
    SYSTEMS,
    Settings,
    check_apart,
    check_domain,
    check_password,
    check_relayed,
    check_user,
)
from handson.ui.view import STYLE, Table, escape

TEXTS = (
    *("learner", "server", "client", "ssh_key"),
    *("domain", "user", "sender", "recipient", "own_ip"),
)
REGIONS = (
    "ap-northeast-1",
    "ap-northeast-3",
    "ap-southeast-1",
    "eu-central-1",
    "eu-west-1",
    "us-east-1",
    "us-west-2",
)
LABEL_WIDTH, FIELD_WIDTH = "150px", "340px"


class Choosable(Protocol):
    """A place where the course can run, as far as the form shows it."""

    name: ClassVar[str]
    title: ClassVar[str]
    asks: ClassVar[tuple[str, ...]]


class SettingsForm:
    """A form, prefilled from `settings`; the next cell reads it.

    Every field is checked as one types; a sentence in red under it says what is wrong, and
    nothing else happens. `password_is_set` says that a password is kept already; of `targets`
    one is chosen, and the fields that it alone asks for are shown with it.

    >>> from handson.cloud.targets import KINDS
    >>> form = SettingsForm(Settings(date="20251124"), False, KINDS)
    >>> form.fields["domain"].value = "example.org"
    >>> form.values()["sender"], form.settings().login
    ('hello@example.org', 'smtp-auth@example.org')
    """

    def __init__(
        self, settings: Settings, password_is_set: bool, targets: Sequence[type[Choosable]]
    ) -> None:
        self._given = settings
        # Which target a field is for, where it is for one only.
        self._only = {name: target.name for target in targets for name in target.asks}
        self._password_is_set = password_is_set
        self._derived_sender = f"hello@{settings.domain}"
        self.fields: dict[str, Any] = {
            "target": widgets.ToggleButtons(
                options=[(title(target), target.name) for target in targets],
                value=settings.target,
                style={"button_width": "165px"},
            ),
            "region": widgets.Combobox(
                options=REGIONS, value=settings.region, ensure_option=False, continuous_update=True
            ),
            "system": widgets.Dropdown(
                options=[(name, id) for id, name in SYSTEMS.items()],
                value=settings.system,
            ),
            **{
                name: widgets.Text(value=getattr(settings, name), continuous_update=True)
                for name in TEXTS
            },
        }
        self.password: Any = widgets.Password(value="", continuous_update=True)
        self.make_password: Any = widgets.Checkbox(
            value=True, indent=False, description=self._make_words()
        )
        self._notes: dict[str, Any] = {}
        self._rows: dict[str, Any] = {}
        self._preview: Any = widgets.HTML()
        self.widget = self._build()
        for name, field in self.fields.items():
            field.observe(lambda change, name=name: self._typed(name, change["new"]), "value")
        self.password.observe(lambda _change: self._note_password(), "value")
        self.make_password.observe(lambda _change: self._note_password(), "value")
        for name in self.fields:
            self._note(name)
        self._note_password()
        self._show_target()
        self._show_login()

    def values(self) -> dict[str, str]:
        """Return what the fields hold, unchecked; the password is not among them."""
        return {name: str(field.value) for name, field in self.fields.items()}

    def settings(self) -> Settings:
        """Return the choices, checked; raise InvalidInput naming the field otherwise."""
        values = self.values()
        values.update(
            {name: getattr(self._given, name) for name in self._only if not self._is_shown(name)}
        )
        for name, value in values.items():
            problem = _problem(name, value)
            if problem:
                raise InvalidInput(f"{labels()[name]}: {problem.what}", problem.cure)
        return check_relayed(self._given.with_(**values))

    def take_password(self) -> Secret | None:
        """Return the password that was typed, and clear the field at once.

        None where one is to be made, or where one is kept already and none was typed.
        Raise InvalidInput for one that cannot be used.
        """
        typed, self.password.value = self.password.value, ""
        if self.make_password.value:
            return None
        if not typed:
            if self._password_is_set:
                return None
            raise InvalidInput(
                _("Password: none was typed."),
                _("Type one, or tick “{make}”.").format(make=self._make_words()),
            )
        try:
            secret = check_apart(Secret(check_password(typed)), self.settings())
        except InvalidInput as problem:
            raise InvalidInput(
                _("Password: {problem}").format(problem=problem.what), problem.cure
            ) from None
        self._password_is_set = True
        self.make_password.description = self._make_words()
        self._note_password()
        return secret

    @property
    def errors(self) -> dict[str, str]:
        """The sentences that stand in red now, by field."""
        found = {
            name: str(problem).replace("\n→ ", " ")
            for name, value in self.values().items()
            if (problem := _problem(name, value)) and self._is_shown(name)
        }
        password = self._password_problem()
        return {**found, "password": password} if password else found

    def text(self) -> str:
        names = labels()
        rows = [
            [names[name], value or (_("found automatically") if name == "own_ip" else "–")]
            for name, value in self.values().items()
            if self._is_shown(name)
        ]
        if not self.make_password.value:
            word = _("typed by you")
        else:
            word = _("kept") if self._password_is_set else _("made for you")
        rows += [[names["password"], word], [_("Login name"), self._login()]]
        return Table([_("choice"), _("value")], rows).text()

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {
            "text/plain": self.text(),
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.widget.model_id,
            },
        }

    def _build(self) -> Any:
        names = labels()
        for name, field in {**self.fields, "password": self.password}.items():
            # The targets stand in one row where there is room.
            field.layout.width = "auto" if name == "target" else FIELD_WIDTH
            below = widgets.Layout(margin=f"0 0 4px calc({LABEL_WIDTH} + 8px)")
            self._notes[name] = widgets.HTML(layout=below)
            label = widgets.Label(
                names[name], layout=widgets.Layout(width=LABEL_WIDTH, flex="0 0 auto")
            )
            line = [label, field]
            if name == "password":
                line.append(self.make_password)
                self.make_password.layout.width = "auto"
            self._rows[name] = widgets.VBox([widgets.HBox(line), self._notes[name]])
        return widgets.VBox(
            [widgets.HTML(STYLE), *self._rows.values(), self._preview],
            layout=widgets.Layout(
                border="1px solid var(--jp-border-color2, #d0d7de)",
                padding="12px 16px",
                max_width="760px",
            ),
        )

    def _typed(self, name: str, value: str) -> None:
        self._note(name)
        if name == "domain":
            self._follow_domain(value)
        elif name == "target":
            self._show_target()
        self._show_login()

    def _follow_domain(self, typed: str) -> None:
        try:
            derived = f"hello@{check_domain(typed)}"
        except InvalidInput:
            return
        if self.fields["sender"].value == self._derived_sender:
            self.fields["sender"].value = derived
        self._derived_sender = derived

    def _note(self, name: str) -> None:
        problem = _problem(name, str(self.fields[name].value))
        self._say(name, str(problem).replace("\n→ ", " ") if problem else "")

    def _note_password(self) -> None:
        self.password.disabled = bool(self.make_password.value)
        self._say("password", self._password_problem())

    def _password_problem(self) -> str:
        if self.make_password.value or not self.password.value:
            return ""
        try:
            check_password(self.password.value)
        except InvalidInput as problem:
            return str(problem).replace("\n→ ", " ")
        return ""

    def _say(self, name: str, error: str) -> None:
        words, tone = (error, "bad") if error else (hints().get(name, ""), "quiet")
        self._notes[name].value = (
            f'<div class="ho" style="font-size:12px;line-height:1.4">'
            f'<span class="{tone}">{escape(words)}</span></div>'
        )

    def _show_target(self) -> None:
        for name in self._only:
            self._rows[name].layout.display = None if self._is_shown(name) else "none"

    def _show_login(self) -> None:
        self._preview.value = (
            f'<div class="ho"><div class="note-box">{escape(_("Login name"))}: '
            f"<code>{escape(self._login())}</code></div></div>"
        )

    def _login(self) -> str:
        values = self.values()
        try:
            return f"{check_user(values['user'])}@{check_domain(values['domain'])}"
        except InvalidInput:
            return "–"

    def _is_shown(self, name: str) -> bool:
        chosen = str(self.fields["target"].value)
        return self._only.get(name, chosen) == chosen

    def _make_words(self) -> str:
        return _("keep the present one") if self._password_is_set else _("make one for me")


def title(target: type[Choosable]) -> str:
    """Return what stands on the button of a target.

    >>> title(type("Meadow", (), {"title": "the meadow"}))
    'The meadow'
    """
    return target.title[:1].upper() + target.title[1:]


def labels() -> dict[str, str]:
    """Return the name of each field, as the learner reads it."""
    return {
        "target": _("Where to run"),
        "region": _("AWS region"),
        "system": _("Amazon Linux"),
        "learner": _("Your name in all names"),
        "server": _("Server"),
        "client": _("Client"),
        "ssh_key": _("Private key"),
        "domain": _("Mail domain"),
        "user": _("User"),
        "sender": _("Sender"),
        "recipient": _("Recipient"),
        "own_ip": _("Your own address"),
        "password": _("Password"),
    }


def hints() -> dict[str, str]:
    """Return what stands under a field while nothing is wrong with it."""
    return {
        "target": _("The lab is free and changes nothing on this machine; AWS costs a little."),
        "server": _("Where to log in, as user@address; the user may use sudo with no password."),
        "client": _("The same for the host that sends."),
        "ssh_key": _("Its file, without a passphrase. Leave it empty for the course's own."),
        "region": _("Its code, as the AWS console shows it."),
        "system": _("The instances are made of its newest image."),
        "learner": _("Where several learners share an account: a-z, 0-9 and hyphens, 20 at most."),
        "domain": _("The server relays for this domain, and it is the user's realm."),
        "user": _("The name in the SASL database, without the domain."),
        "sender": _("Messages are sent from this address."),
        "recipient": _("The message goes to this mailbox. In the lab, any address can be used."),
        "own_ip": _(
            "Only this IPv4 address may use ssh. Leave it empty and it is found automatically."
        ),
        "password": _("It is kept in a file that only you can read, never in a notebook."),
    }


def _problem(name: str, value: str) -> InvalidInput | None:
    try:
        CHECKS[name](value)
    except InvalidInput as problem:
        return problem
    return None
