"""One lab from `up` to `down`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
from docker.errors import APIError

from handson.errors import HandsonError, LabDown, LabError
from handson.i18n import _
from handson.lab import engine as engines
from handson.lab import engine_service, internet, lock, network, processes
from handson.lab import image as images
from handson.lab.access import Key
from handson.lab.api import LabApi
from handson.lab.engine import Engine
from handson.lab.engine_errors import BROKEN, in_words
from handson.lab.state import (
    BOOKS,
    LEARNER,
    TESTS,
    LabState,
    Maker,
    lab_folder,
    labs_folder,
    write_private,
)
from handson.lab.users import name_of
from handson.polling import patience
from handson.settings import check_name

Say = Callable[[str], None]

SERVER = "handson.lab.api_server"


def _nothing(sentence: str) -> None:
    pass


class Lab:
    """An embedded lab, known by its name and its owner; several run side by side.

    The owner is a user of this machine: whoever runs this, unless root makes a lab for
    somebody (`owner` is a uid).

    >>> Lab("no lab")
    Traceback (most recent call last):
    ...
    handson.errors.InvalidInput: “no lab” cannot name a lab.
    → Use a small letter first, then up to 29 small letters, digits or hyphens.
    """

    def __init__(self, name: str = "lab", owner: int | None = None) -> None:
        self.name = check_name(name)
        self.owner = os.getuid() if owner is None else owner
        self.renewed: list[str] = []  # hosts that the last `up` had to make anew

    @property
    def is_up(self) -> bool:
        """Return whether the lab answers."""
        state = self.state()
        return state is not None and LabApi(state).is_up

    def state(self) -> LabState | None:
        """Return what is written down of the lab, whether it runs or not."""
        with contextlib.suppress(LabDown):
            return LabState.load(self.name, self.owner)
        return None

    def hold(self, what: str) -> contextlib.AbstractContextManager[None]:
        """Hold this lab's lock while a `with` block runs; see `lock.hold`."""
        return lock.hold(self.name, what, self.owner)

    def up(
        self,
        public_key: str,
        say: Say = _nothing,
        base: str = "",
        purpose: str = LEARNER,
        workspace: str = "",
    ) -> LabState:
        """Start the lab, or adopt it where it runs, and return its state.

        `public_key` is an OpenSSH public key: its holder may log in to the hosts. A lab that
        runs is given back what went away of it, its API too; what a lab of this name that was
        never complete left behind is replaced. Raises EngineMissing or LabError.
        """
        with self.hold("handson up"):
            self.renewed = []
            if state := self._running(public_key):
                return self._restored(state)
            with engines.connect(self.name, self.owner) as engine:
                sweep(engine, but=self.name)
                if state := self._revived(engine, public_key):
                    return state
                image = images.ensure(engine, say, base)
                self._clear(engine)
                engine.marks = self._maker(purpose, workspace).labels()
                try:
                    with in_words():
                        return self._start(engine, image, public_key, say)
                except BaseException:
                    # Under the lock: all that there is of this lab was made just now.
                    with contextlib.suppress(HandsonError, *BROKEN):
                        self._clear(engine)
                        engine_service.forget(self._folder)
                    raise

    def down(self, say: Say = _nothing) -> bool:
        """Remove all that the lab made, whatever state it is in; return whether there was any.

        Found by label, so that it works after a crash too. The host image stays. Raises
        EngineMissing, and LabError when something is left.
        """
        with self.hold("handson down"):
            state = self.state()
            if state and self._is_of_another(state):
                raise LabError(
                    _("The lab “{name}” was made for you by root.").format(name=self.name),
                    _("Only root can remove it: {command}").format(command=self._for_me("down")),
                )
            found = int(lab_folder(self.name, self.owner).exists())
            with engines.connect(self.name, self.owner) as engine:
                say(_("Removing the lab's hosts and networks"))
                with in_words():
                    found += self._clear(engine)
                    left = self._left(engine)
            if left:
                raise LabError(
                    _("This is left of the lab: {names}.").format(names=", ".join(left)),
                    _("Run `handson down --name {name}` again.").format(name=self.name),
                )
            if state and self.owner != os.getuid():
                state.remove_from(self.owner)
            self._close()
            return bool(found)

    def left_over(self) -> list[str]:
        """Return what exists of the lab on this machine: containers, networks, processes."""
        with self._engine_for_a_look() as engine:
            return self._left(engine)

    def maker(self) -> Maker | None:
        """Return who made the lab and for what, also when it does not run any more."""
        if state := self.state():
            return state.maker
        with self._engine_for_a_look() as engine:
            return next((Maker.of_labels(one.labels) for one in engine.containers()), None)

    @contextlib.contextmanager
    def _engine_for_a_look(self) -> Iterator[Engine]:
        """Give the engine; what has to be there for it goes again, where it was not there."""
        # Under the lock: somebody may make a lab of this name meanwhile, in the same folder.
        with self.hold("handson run"):
            was_there = self._folder.exists()
            try:
                with engines.connect(self.name, self.owner) as engine:
                    yield engine
            finally:
                if not was_there:
                    self._close()

    def keep(self) -> None:
        """Have a lab of a run stay when its process has ended."""
        if state := self.state():
            replace(state, is_kept=True).save(self.owner)

    def api(self) -> LabApi:
        """Return the lab's own API; raise LabDown when there is no lab."""
        return LabApi(LabState.load(self.name, self.owner))

    def memory(self) -> dict[str, int]:
        """Return the memory that each running host takes, in bytes, by the host's name.

        An instance goes by its tag Name, and by its id where it has none.
        """
        return {one["name"]: one["memory"] for one in self.api().ask("hosts") if one["memory"]}

    # -- whose it is ---------------------------------------------------------

    def _maker(self, purpose: str, workspace: str) -> Maker:
        checkout = str(Path(__file__).parents[2])
        tests = os.environ.get(TESTS, "")
        return Maker(purpose, os.getuid(), processes.identity(), workspace, checkout, tests)

    def _is_of_another(self, state: LabState) -> bool:
        return self.owner == os.getuid() != state.maker.user

    def _for_me(self, command: str) -> str:
        user = name_of(self.owner)
        return f"{processes.with_sudo()} {command} --for {user} --name {self.name}"

    def _running(self, public_key: str) -> LabState | None:
        state = self.state()
        if state is None:
            return None
        if not LabApi(state).is_up:
            if self._is_of_another(state):
                raise LabDown(
                    _("The lab “{name}”, which root made for you, does not answer.").format(
                        name=self.name
                    ),
                    _("Ask root to start it again: {command}").format(command=self._for_me("up")),
                )
            return None
        check_key(state, public_key)
        return state

    def _revived(self, engine: Engine, public_key: str) -> LabState | None:
        """Start the API of a lab again, over its hosts and its books; None without those."""
        state = self.state()
        networks = {net.attrs["Labels"]["handson.network"] for net in engine.networks()}
        is_there = {internet.NETWORK, internet.VPC, internet.OUTSIDE} <= networks
        if state is None or not is_there or not (self._folder / BOOKS).exists():
            return None
        check_key(state, public_key)
        processes.end(self._server_processes())  # one may be there that does not answer
        (self._folder / "endpoint").unlink(missing_ok=True)
        state = self._wait_for_server(self._run_server(), state)
        state.save(self.owner)
        return self._restored(state)

    def _restored(self, state: LabState) -> LabState:
        found = LabApi(state).ask("restore", seconds=300)
        self.renewed = found.pop("new")
        changed = replace(state, **found)
        if changed != state:
            changed.save(self.owner)
        return changed

    # -- parts ---------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return lab_folder(self.name, self.owner)

    def _server_processes(self) -> list[psutil.Process]:
        return processes.find(SERVER, str(self._folder))

    def _left(self, engine: Engine) -> list[str]:
        running = [f"process {process.pid}" for process in self._server_processes()]
        return [*engine.left(), *running]

    def _close(self) -> None:
        """End the lab's own Podman service and remove its folder."""
        # Asked to end, it waits for connections that nobody uses any more.
        processes.end(engine_service.service_processes(self._folder), seconds=0.5)
        shutil.rmtree(self._folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            labs_folder().rmdir()  # only when nothing of another lab is in it

    def _clear(self, engine: Engine) -> int:
        found = processes.end(self._server_processes())
        found += engine.remove_all()
        for file in ("lab.json", "endpoint", "server.json", BOOKS):
            (self._folder / file).unlink(missing_ok=True)
        return found

    def _start(self, engine: Engine, image: str, public_key: str, say: Say) -> LabState:
        engine_service.remember(self._folder, engine.address)
        used = [*network.taken(), *engine.subnets()]
        cidr = _create_first_free(engine, internet.NETWORK, network.INTERNETS, used)
        vpc = _create_first_free(engine, internet.VPC, network.VPCS, [*used, cidr])
        say(_("Starting the AWS API and the lab's Internet ({cidr})").format(cidr=cidr))
        engine.create_network(internet.OUTSIDE, internal=False)
        around = internet.Internet(image, cidr, vpc, public_key)
        key = Key.new()
        server = self._start_server(engine, around, key)
        around.restore(engine)
        pc, mailbox = engine.host("pc"), engine.host("mailbox")
        state = LabState(
            name=self.name,
            endpoint="",
            key_id=key.id,
            key_secret=key.secret,
            pc_port=internet.published_port(engine, pc),
            pc_ip=network.address(cidr, network.PC),
            pc_host_keys=internet.host_keys(engine, pc),
            mailbox_ip=network.address(cidr, network.MAILBOX),
            mailbox_host_keys=internet.host_keys(engine, mailbox),
            internet_cidr=cidr,
            vpc_cidr=vpc,
            image=image,
            public_key=public_key,
            engine="podman" if engine.is_podman else "docker",
            maker=Maker.of_labels(engine.marks),
        )
        state = self._wait_for_server(server, state)
        state.save(self.owner)
        return state

    def _start_server(self, engine: Engine, around: internet.Internet, key: Key) -> psutil.Process:
        given = {
            "name": self.name,
            "owner": self.owner,
            "marks": engine.marks,
            "internet": asdict(around),
            "key": asdict(key),
        }
        # In a file: whatever stands on a command line, every user can read.
        write_private(self._folder / "server.json", json.dumps(given))
        self._log.unlink(missing_ok=True)
        return self._run_server()

    def _run_server(self) -> psutil.Process:
        return processes.start([sys.executable, "-m", SERVER, str(self._folder)], self._log)

    def _wait_for_server(self, server: psutil.Process, state: LabState) -> LabState:
        for _gone in patience(60, first=0.02, longest=0.1):
            if not processes.runs(server):
                break
            with contextlib.suppress(OSError):
                known = replace(state, endpoint=(self._folder / "endpoint").read_text())
                if LabApi(known).is_up:
                    return known
        tail = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        raise LabError(
            _("The lab's AWS API did not start: {tail}").format(tail=" / ".join(tail)),
            _("Run `handson down`, then `handson up`."),
        )

    @property
    def _log(self) -> Path:
        return self._folder / "server.log"


def build(say: Say = _nothing, base: str = "") -> str:
    """Build the host image where it is missing, and return its name; nothing else stays."""
    with engines.without_a_lab() as engine:
        return images.ensure(engine, say, base)


def sweep(engine: Engine, but: str = "") -> None:
    """Remove the labs of the engine's owner whose process was killed: of runs and of tests.

    `but` is the name of a lab that stays.
    """
    dead = {
        labels[engines.LABEL]
        for labels in engine.labels_of_owner()
        if is_left_over(Maker.of_labels(labels))
    }
    for file in labs_folder().glob("*/server.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            given = json.loads(file.read_text())
            if given["owner"] == engine.owner and is_left_over(Maker.of_labels(given["marks"])):
                dead.add(given["name"])
    for lab in (Lab(name, engine.owner) for name in dead - {but}):
        state = lab.state()
        if not (state and state.is_kept):
            # One that cannot be removed now, or whose engine does not answer, waits.
            with contextlib.suppress(LabError):
                lab.down()


def check_key(state: LabState, public_key: str) -> None:
    """Raise LabError unless the lab lets the holder of this key in."""
    if state.public_key.split()[:2] == public_key.split()[:2]:
        return
    where = state.maker.workspace or _("another workspace")
    raise LabError(
        _("The lab “{name}” lets another key in than yours: it was made from {where}.").format(
            name=state.name, where=where
        ),
        _(
            "Go on in that workspace (HANDSON_WORKSPACE), choose another name (--name, "
            "HANDSON_NAME), or remove that lab: handson down --name {name}"
        ).format(name=state.name),
    )


def is_left_over(maker: Maker) -> bool:
    """Return whether something was made for a process that has ended."""
    if maker.tests and not processes.is_alive(maker.tests):
        return True
    return maker.purpose not in ("", LEARNER) and not processes.is_alive(maker.process)


def _create_first_free(
    engine: Engine, name: str, candidates: Iterable[str], used: list[str]
) -> str:
    """Create a network on the first block that is free, and return its CIDR.

    The engine gives no block out twice: where another lab was quicker, the next is tried.
    """
    for cidr in network.free(candidates, used):
        try:
            engine.create_network(name, cidr)
        except APIError as error:
            if "already used" not in str(error) and "overlap" not in str(error):
                raise
        else:
            return cidr
    raise network.none_is_free()
