"""How the steps stand: done, open, or no longer passing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from handson.course import checks, outline
from handson.errors import HandsonError
from handson.mail.observation import Observation
from handson.workspace import Workspace

if TYPE_CHECKING:
    from handson.course.step import Step

DONE, BACK, OPEN = "done", "back", "open"

# How long a look that is ended may take to come back. Its connections are closed, and those
# who wait for them hear it at once; only an AWS API that does not answer makes it wait.
END_SECONDS = 2.0

LOG = logging.getLogger(__name__)


def recorded(workspace: Workspace) -> dict[str, str]:
    """Return how each step stands by what was recorded: nothing is asked of a host.

    'done': its last checks passed; 'back': they did once; 'open': never.
    """
    progress = workspace.progress()

    def state(slug: str) -> str:
        report = progress.get(slug)
        if report and report["passed"]:
            return DONE
        return BACK if report and report.get("done") else OPEN

    return {step.slug: state(step.slug) for step in outline.steps()}


def stage(workspace: Workspace) -> str:
    """Return the stage of the course, as the relay matrix has them, by what was recorded."""
    found = recorded(workspace)
    if found["09_harden"] != OPEN:
        return "hardened"
    return "start" if found["06_mailx_test"] == OPEN else "after_login"


def now(step: Step, seconds: float = 0) -> dict[str, str]:
    """Return how each step stands at this moment: those that were done are looked at anew.

    Only what is *true now* is looked at. With `seconds`, what is not known by then is
    taken as it was recorded.
    """
    found = recorded(step.workspace)
    last = outline.steps()[-1].slug
    slugs = [slug for slug, state in found.items() if state != OPEN and slug != last]
    if not slugs or found[last] == DONE:
        return found  # after the teardown nothing is there that could stand
    results = _look_within(seconds, step, slugs) if seconds else look_at(step, slugs)
    return found | {slug: DONE if ok else BACK for slug, ok in results.items()}


def _look_within(seconds: float, step: Step, slugs: list[str]) -> dict[str, bool]:
    """Look at these steps; a look that takes longer is ended, and tells nothing.

    A host that is gone lets one wait for 15 s; a header does not.
    """
    results: dict[str, bool] = {}
    twin = step.twin()

    def look() -> None:
        try:
            results.update(look_at(twin, slugs))
        except Exception:
            LOG.exception("The look at the steps broke off.")

    thread = threading.Thread(target=look, name="look", daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:
        is_late = thread.is_alive()
        if is_late:
            twin.connections.close()
            thread.join(END_SECONDS)
    if is_late:
        return {}
    step.go_on_with(twin)
    return results


def look_at(step: Step, slugs: Iterable[str], kinds: tuple[str, ...] = ("now",)) -> dict[str, bool]:
    """Return for each of these steps whether all its rules of those kinds hold that apply.

    Takes under a second: what all need is read first, the rest side by side.
    """
    slugs = list(slugs)
    if not slugs:
        return {}
    try:
        step.hosts.server.read("true")
        step.hosts.client.read("true")
    except HandsonError:
        return dict.fromkeys(slugs, False)
    shared = step.observe(slugs[0])
    # What the log tells counts for each step since another moment.
    observations = {slug: step.observe(slug) for slug in slugs}
    by_slug = {slug: outline.step(slug).rules for slug in slugs}
    rules = [(s, rule) for s in slugs for rule in by_slug[s] if rule.kind in kinds]
    shared.read_ahead({need for found in by_slug.values() for need in found.needs})
    with ThreadPoolExecutor(6) as pool:
        oks = list(
            pool.map(
                lambda pair: holds(
                    pair[1], shared if pair[1].kind == "now" else observations[pair[0]]
                ),
                rules,
            )
        )
    results = dict.fromkeys(slugs, True)
    for (slug, _rule), ok in zip(rules, oks, strict=True):
        results[slug] = results[slug] and ok is not False
    return results


def holds(rule: checks.Rule, observed: Observation) -> bool | None:
    """Return whether a rule holds, or None where it does not apply. No cause is looked for.

    A rule that cannot be looked at does not hold.
    """
    found = rule.find(observed)
    return found.ok if found.applies else None
