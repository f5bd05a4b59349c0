"""Killed at random moments all over the course, and run on: the end state is right.

Half of the kills hit the kernel that runs a notebook, half the program that runs the
kernels. `HANDSON_SEED` repeats a run.

It takes long, so that the course is parted: the kills of each part have a file, and a lab, of
their own, for test files run side by side. Each part does the whole course.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from looking import WORKER
from solving import NOTEBOOKS, assert_nothing_doubled, learner
from waiting import LONG, NEVER

from handson.course import progress
from handson.course.begin import begin
from handson.course.outline import steps
from handson.course.undo import undo
from handson.workspace import Workspace

STEPS = steps()

NAME, KILLS = f"killed{WORKER}", 30 if LONG else 10
# Read here: the tests take such variables out of the way before they begin.
SEED = int(os.environ.get("HANDSON_SEED") or random.SystemRandom().randrange(10**6))
SLUGS = [step.slug for step in STEPS]
*BEFORE_TEARDOWN, TEARDOWN = SLUGS
# How long a notebook takes about, in seconds: kills are drawn over that time. The program
# begins sooner: it looks how the steps stand first.
BEFORE = 3.0
TIMES = (9.0, 4.5, 3.0, 2.5, 4.0, 3.5, 13.0, 6.0, 6.0, 18.0, 3.0)
SECONDS = dict(zip(SLUGS, TIMES, strict=True))


def draw(slugs: list[str]) -> list[tuple[str, float, str]]:
    """Draw the kills of some steps, in their order: notebook, seconds into it, and the victim."""
    print(f"HANDSON_SEED={SEED}")
    chosen = random.Random(SEED)
    times = [SECONDS[slug] for slug in slugs]
    drawn = []
    for _number in range(round(KILLS * sum(times) / sum(TIMES))):
        # A longer notebook is hit more often, as by kills drawn over the time of the course.
        slug = chosen.choices(slugs, times)[0]
        victim = chosen.choice(("kernel", "runner"))
        after = chosen.uniform(0, SECONDS[slug] + (BEFORE if victim == "runner" else 0))
        drawn.append((slug, after, victim))
    return sorted(drawn, key=lambda kill: kill[0])


class Run:
    """A step done by a program of its own: `handson goto` the next one, or papermill the last."""

    def __init__(self, slug: str, log: Path) -> None:
        if slug == TEARDOWN:
            notebook = str(NOTEBOOKS / f"{slug}.ipynb")
            words = ["papermill", "--cwd", str(NOTEBOOKS), notebook, os.devnull]
        else:
            after = SLUGS[SLUGS.index(slug) + 1]
            words = ["handson.cli.main", "goto", after, "--name", NAME]
        words = [sys.executable, "-m", *words]
        with log.open("ab") as file:
            self.process = subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True)

    def succeeds(self) -> bool:
        """Wait for the end, and tell whether it was a good one."""
        return self.process.wait(NEVER) == 0

    def kernel(self) -> psutil.Process | None:
        """Return the kernel that runs a notebook, once it is there."""
        try:
            children = psutil.Process(self.process.pid).children()
            return next((c for c in children if "ipykernel_launcher" in c.cmdline()), None)
        except psutil.Error:
            return None

    def kill(self, after: float, victim: str) -> bool:
        """Kill the victim so many seconds after its start; False when all was through by then."""
        kernel = None
        while victim == "kernel" and kernel is None and self.process.poll() is None:
            kernel = self.kernel()
            time.sleep(0.02)
        time.sleep(after if self.process.poll() is None else 0)
        was_running = self.process.poll() is None
        try:
            if kernel:
                kernel.kill()
            elif victim == "runner":
                self.process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            was_running = False
        self.process.wait(NEVER)
        return was_running


def take_back(slug: str, home: Workspace) -> None:
    step = begin(slug, home)
    try:
        undo(step)
    finally:
        step.disconnect()


def kill(kills: list[tuple[str, float, str]], home: Workspace, log: Path) -> None:
    """Do each step, and kill the one who does it."""
    for slug, after, victim in kills:
        tries = 0
        while not (run := Run(slug, log)).kill(after, victim):
            # It was through sooner than drawn: once more from the step's start, and sooner.
            assert run.process.returncode == 0, log.read_text()[-3000:]
            if slug != TEARDOWN:
                take_back(slug, home)
            after, tries = after / 2, tries + 1
            assert tries < 6, log.read_text()[-3000:]
        print(f"{slug:<18} {victim} after {after:.1f} s")


def assert_harmless(first: str, last: str, folder: Path) -> None:
    """Kill whoever does the steps from `first` to `last`, and see that the course ends well."""
    slugs = SLUGS[SLUGS.index(first) : SLUGS.index(last) + 1]
    log, drawn = folder / "output.txt", draw(slugs)
    with learner(NAME, folder / "home") as home:
        if first != SLUGS[0]:
            assert Run(SLUGS[SLUGS.index(first) - 1], log).succeeds(), log.read_text()[-3000:]
        kill([one for one in drawn if one[0] != TEARDOWN], home, log)
        # The rest of the course goes on from there; that takes most of the time.
        end = BEFORE_TEARDOWN[-1] if LONG or last == TEARDOWN else last
        assert Run(end, log).succeeds(), log.read_text()[-3000:]
        done, still_open = SLUGS[: SLUGS.index(end) + 1], SLUGS[SLUGS.index(end) + 1 :]
        eye = begin(TEARDOWN, home)
        try:
            stands = progress.look_at(eye, done, ("now", "happened"))
        finally:
            eye.disconnect()
        assert stands == dict.fromkeys(done, True)
        recorded = {**dict.fromkeys(done, "done"), **dict.fromkeys(still_open, "open")}
        assert progress.recorded(home) == recorded
        if end >= "06":
            assert_nothing_doubled(home)
        if last != TEARDOWN:
            return
        kill([one for one in drawn if one[0] == TEARDOWN], home, log)
        assert Run(TEARDOWN, log).succeeds(), log.read_text()[-3000:]
        assert begin(TEARDOWN, home).look().passed
        assert progress.recorded(home)[TEARDOWN] == "done"
