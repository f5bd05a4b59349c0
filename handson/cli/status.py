"""What `handson status` shows: the lab, the hosts, the steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from handson.cloud import targets
from handson.course import outline
from handson.course import progress as standing
from handson.course.begin import begin
from handson.errors import LabDown
from handson.i18n import _
from handson.lab.api import LabApi
from handson.lab.state import LabState
from handson.ui.view import Note, Table, View
from handson.workspace import Workspace


def status(workspace: Workspace) -> Iterator[View]:
    """Yield what there is to see, piece by piece; raise HandsonError where AWS says no."""
    yield from _lab(workspace.name)
    if hosts := targets.of(workspace.settings(), workspace).overview():
        yield hosts
    yield from _steps(workspace)


def _lab(name: str) -> Iterator[View]:
    try:
        state = LabState.load(name)
    except LabDown as down:
        yield Note(str(down), tone="quiet")
        return
    if not LabApi(state).is_up:
        yield Note(
            _(
                "The lab “{name}” was started but does not answer. "
                "Start it again: handson up --name {name}"
            ).format(name=name),
            tone="bad",
        )
        return
    yield Note(
        _("The lab “{name}” is up ({engine}). AWS API: {endpoint}").format(
            name=name, engine=state.engine, endpoint=state.endpoint
        ),
        tone="good",
    )
    yield _hosts(state)


def _hosts(state: LabState) -> Table:
    def row(host: dict[str, Any]) -> list[str]:
        memory = f"{host['memory'] / 2**20:.0f} MiB" if host["memory"] else ""
        return [host["name"], host["state"], ", ".join(host["addresses"]), memory]

    hosts = LabApi(state).ask("hosts")
    states = {host["state"] for host in hosts}
    title = ""
    if states - {"running"}:
        title = _("Some hosts do not run. Start them: handson up --name {name}.")
    if "missing" in states:
        title += " " + _("A missing host is made again, without what was done on it.")
    return Table(
        [_("host"), _("state"), _("addresses"), _("memory")],
        [row(host) for host in hosts],
        tones=["" if host["state"] == "running" else "warn" for host in hosts],
        title=title.format(name=state.name),
    )


def _steps(workspace: Workspace) -> Iterator[View]:
    """Yield how the steps stand, and what to do about those that no longer pass."""
    states = _standing(workspace)
    progress = workspace.progress()
    words = {
        standing.DONE: _("done"),
        standing.BACK: _("no longer passes"),
        standing.OPEN: "",
    }
    tones = {standing.DONE: "good", standing.BACK: "warn", standing.OPEN: ""}
    rows = []
    for step in outline.steps():
        report = progress.get(step.slug)
        state = words[states[step.slug]] or (_("not yet") if report else "")
        rows.append([step.slug, state, report["at"] if report else ""])
    yield Table(
        [_("step"), _("state"), _("checked (UTC)")],
        rows,
        tones=[tones[states[step.slug]] for step in outline.steps()],
    )
    back = [step.slug for step in outline.steps() if states[step.slug] == standing.BACK]
    if not back:
        return
    last = outline.steps().index(outline.step(back[-1]))
    following = outline.steps()[min(last + 1, len(outline.steps()) - 1)].slug
    text = _(
        "No longer true on the hosts: what was done in {slugs}. To do it again: "
        "handson goto {step} --name {name}"
    )
    slugs = ", ".join(back)
    yield Note(text.format(slugs=slugs, step=following, name=workspace.name), "warn")


def _standing(workspace: Workspace) -> dict[str, str]:
    """Return how the steps stand now; without hosts nothing that was done stands."""
    found = standing.recorded(workspace)
    if all(state == standing.OPEN for state in found.values()):
        return found
    step = begin(outline.steps()[0].slug, workspace)
    try:
        return standing.now(step)
    finally:
        step.disconnect()
