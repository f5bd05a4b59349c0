"""Is everything there that the tutorial's earlier parts left: two hosts and a relay on port 25?"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from handson.cloud import targets
from handson.cloud.stacks import StackPlan, plan
from handson.cloud.targets import Endpoint
from handson.course.checks import Finding, Rules, bad, good
from handson.course.log_window import forget_hosts
from handson.course.step import Step
from handson.diagnosis.chain import LOG, Link, up_to
from handson.errors import NotHere
from handson.hosts.inventory import wait_until_ready
from handson.hosts.ssh import way_to
from handson.i18n import _
from handson.mail.observation import Observation
from handson.settings import check_apart
from handson.ui.form import SettingsForm
from handson.ui.progress import progress
from handson.ui.view import Note, Session, Table, Terminal, View

RULES = Rules("relay")


class Start(Step):
    """Choose who sends to whom, make the hosts, and see the relay trust an address."""

    slug = "00_start"
    title = _("Start")
    purpose = _("Choose who sends to whom, make the hosts, and see the relay trust an address.")
    rules = RULES

    def form(self) -> SettingsForm:
        """Return the form for the choices, filled in with what is known."""
        known = self.workspace.settings()
        return SettingsForm(known, self.workspace.password is not None, targets.KINDS)

    def save(self, form: SettingsForm) -> Table:
        """Check the form's values and remember them; raise InvalidInput and change nothing else."""
        chosen = form.settings()
        targets.of(chosen, self.workspace).check_choices()
        password = form.take_password()
        kept = self.workspace.password
        if kept and not password:
            check_apart(kept, chosen)
        self.workspace.save(chosen)
        if password or not kept:
            self.workspace.save_password(password)
        self.choose_anew()
        known = self.settings
        rows = [
            [_("where"), self.target.title],
            [_("mail domain"), known.domain],
            [_("login"), known.login],
            [_("password"), str(self.password)],
            [_("sender"), known.sender],
            [_("recipient"), known.recipient],
            [_("your own address"), known.own_ip],
            [_("day in all names"), known.date],
            *([[_("your name in all names"), known.learner]] if known.learner else []),
        ]
        return Table([_("choice"), _("value")], rows)

    def create(self) -> Table:
        """Create the five stacks that are not there yet, and wait until all hosts are ready.

        Hosts of the learner's own are there already: see that they answer.
        """
        if not self.target.makes_hosts:
            return self._meet()
        rows = []
        others: dict[str, str] = {}
        if self.cloud.instance(self.cloud.names.server) is None:
            forget_hosts(self.workspace)  # whatever was done was done on others
        key = self.cloud.import_key(self.workspace.public_key)
        with progress(_("Creating the stacks")) as shown:
            for stack in plan(self.settings, key, self.settings.own_ip, self.cloud.zone()):
                shown.say(stack.name)
                made = self.cloud.create(stack, shown.say)
                rows.append([made.name, f"cfn/{stack.template.name}", made.status])
                others |= stack.differing(made)
            if self.cloud.let_in(self.settings.own_ip):
                shown.say(_("port 22 is open to {address}").format(address=self.settings.own_ip))
            for host in filter(None, (self.hosts.server, self.hosts.client, self.stranger)):
                shown.say(_("waiting for {host}").format(host=host.name))
                wait_until_ready(host)
        title = self._made_otherwise(others) if others else ""
        tones = ["warn" if others else ""] * len(rows)
        return Table([_("stack"), _("template"), _("status")], rows, title, tones)

    def _made_otherwise(self, others: Mapping[str, str]) -> str:
        return _(
            "The hosts were made with other choices ({others}), and keep them. To replace the "
            "hosts by new ones with your choices, run in a terminal: "
            "handson reset --hard --name {name}"
        ).format(
            others=", ".join(f"{parameter}={value}" for parameter, value in others.items()),
            name=self.workspace.name,
        )

    def console_by_hand(self) -> View:
        """Return what to choose and to type in the console for each stack, with its real values."""
        try:
            made = self._made_by_hand()
        except NotHere as error:
            return Note(error.what, "quiet")
        rows: list[list[str]] = []
        for one, parameters in made:
            values = [["", "", key, value] for key, value in parameters.items()]
            values[0][:2] = one.name, f"cfn/{one.template.name}"
            rows += values
        return Table([_("stack"), _("template"), _("parameter"), _("value")], rows)

    def stacks_by_hand(self) -> View:
        """Return the command of the AWS CLI that makes each stack, with its real values."""
        try:
            made = self._made_by_hand()
        except NotHere as error:
            return Note(error.what, "quiet")
        tags = [f"Key={key},Value={value}" for key, value in self.cloud.names.tags.items()]
        return _to_type(
            shlex.join(
                [
                    *("aws", "cloudformation", "create-stack", "--region", self.settings.region),
                    *("--stack-name", one.name),
                    *("--template-body", f"file://cfn/{one.template.name}", "--parameters"),
                    *(
                        f"ParameterKey={key},ParameterValue={value}"
                        for key, value in parameters.items()
                    ),
                    *("--tags", *tags),
                ]
            )
            for one, parameters in made
        )

    def _made_by_hand(self) -> list[tuple[StackPlan, dict[str, str]]]:
        """Return the stacks that are there, with the parameters that `create` gives them."""
        outputs = {stack.name: stack.outputs for stack in self.cloud.stacks() if stack.is_complete}
        plans = plan(self.settings, self.cloud.names.key, self.settings.own_ip, self.cloud.zone())
        return [(one, one.parameters(outputs)) for one in plans if one.name in outputs]

    def ssh_by_hand(self) -> Session:
        """Return the commands of ssh that lead to the client, through its bastion."""
        way = way_to("client", self.target, self.hosts)
        *before, last = [place for place, _name in way.values()]
        jump = ["-J", ",".join(map(_in_url, before))] if before else []
        port = ["-p", str(last.port)] if last.port != 22 else []
        key = last.key or str(self.workspace.key_file.absolute())
        return _to_type(
            [
                shlex.join(["ssh-add", key]),
                shlex.join(["ssh", *jump, *port, f"{last.user}@{last.address}"]),
            ]
        )

    def _meet(self) -> Table:
        hosts = [host for host in (self.server, self.client, self.stranger) if host]
        rows = [
            [host.name, self.hosts.place(host.name).address, host.system.name] for host in hosts
        ]
        title = _("The hosts are there already: nothing was made.")
        return Table([_("host"), _("address"), _("system")], rows, title=title)

    def undo(self) -> list[View]:
        """Delete the stacks, and with them all that was done on the hosts."""
        if not self.target.makes_hosts:
            self.workspace.forget(self.slug)
            return []
        there = bool(self.cloud.stacks())
        known = bool(self.workspace.progress())
        shown: list[View] = []
        if there:
            self.disconnect()
            shown.append(self.cloud.delete_all())
        forget_hosts(self.workspace)
        if known and not there:
            shown.append(Note(_("The hosts are gone; what was done on them is forgotten.")))
        return shown


def _to_type(commands: Iterable[str]) -> Session:
    shown = [Terminal(_("your computer"), one, "", 0) for one in commands]
    if shown:
        shown[-1].note = _("for a terminal of your own: not run here")
    return Session(shown)


def _in_url(place: Endpoint) -> str:
    """Return a place as ssh's -J takes it."""
    address = f"[{place.address}]" if ":" in place.address else place.address
    return f"{place.user}@{address}" + (f":{place.port}" if place.port != 22 else "")


@RULES.now(
    "server-answers",
    _("The server runs and answers over ssh with the host key that was pinned."),
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/connect-linux-inst-ssh.html",
)
def server_answers(observed: Observation) -> Finding:
    return good(observed.server.system.name)


@RULES.now(
    "client-answers",
    _("The client answers; with no public address, through the server as its bastion."),
    "https://man.openbsd.org/ssh#J",
)
def client_answers(observed: Observation) -> Finding:
    return good(observed.client.system.name)


@RULES.now(
    "relay-answers",
    _("Postfix on the server answers the client on port 25."),
    "https://www.postfix.org/BASIC_CONFIGURATION_README.html",
    up_to(Link.GREETS, 25),
)
def relay_answers(observed: Observation) -> Finding:
    dialogue = observed.relay
    if dialogue.banner:
        return good(str(dialogue.banner))
    return bad(
        dialogue.outcome(),
        "",
        "",
    )


@RULES.happened(
    "relayed-without-login",
    _("A message from the client was relayed without a login, for its address alone."),
    "https://www.postfix.org/postconf.5.html#mynetworks",
    LOG,
)
def relayed_without_login(observed: Observation) -> Finding:
    here = f"[{observed.settings.client_ip}]"
    for message in observed.messages:
        if here in message.client and not message.sasl_username and message.deliveries:
            return good(f"{message.queue_id} {message.deliveries[-1].status}")
    return bad(
        _("no such message in {log}").format(log=observed.server.system.log_source),
        "",
        _("Run the cells above: they send one."),
    )
