"""Say how far a thing is that takes more than a moment, in place and without a flood."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from handson.i18n import _
from handson.settings import HEADLESS, variable
from handson.ui.view import View, escape, style_sheet


class Progress(View):
    """What `progress` shows: a bar and the last sentence, or at the end how it went.

    `total_hint` is how long the thing usually takes, in seconds; with it the bar fills,
    without it the bar only moves. The bar moves in the browser, not by messages.
    """

    def __init__(self, title: str, total_hint: float | None = None) -> None:
        self.title, self.total_hint = title, total_hint
        self.sentence = ""
        self.outcome = ""  # '', 'done' or 'failed'
        self._start = time.monotonic()
        self._end: float | None = None

    @property
    def seconds(self) -> float:
        return (self._end or time.monotonic()) - self._start

    def finish(self, outcome: str) -> None:
        self.outcome, self._end = outcome, time.monotonic()

    def text(self) -> str:
        took = f"({self.seconds:.1f} s)"
        if self.outcome == "done":
            return _("{title}: done {took}").format(title=self.title, took=took)
        if self.outcome == "failed":
            return _("{title}: failed {took}").format(title=self.title, took=took)
        return f"{self.title}: {self.sentence or '…'}"

    def html(self) -> str:
        if self.outcome:
            mark, tone = ("✔", "good") if self.outcome == "done" else ("✘", "bad")
            return f'<span class="mark {tone}">{mark}</span>{escape(self.text())}'
        if self.total_hint:
            # The delay is negative: after a new sentence the bar goes on where it was.
            motion = f"ho-fill {self.total_hint:.0f}s -{self.seconds:.1f}s cubic-bezier"
            motion += "(.1,.6,.5,1) both"
        else:
            motion = "ho-move 1.6s infinite ease-in-out"
        return (
            f'{PROGRESS_STYLE}<div class="progress"><b>{escape(self.title)}</b> '
            f'<span class="quiet">{escape(self.sentence)}</span>'
            f'<div class="rail"><div class="bar" style="animation:{motion}"></div></div></div>'
        )


class _End:
    """Where only the end is shown: a file, a pipe, and whatever is headless."""

    def show(self, progress: Progress) -> None:
        pass

    def close(self, progress: Progress) -> None:
        print(progress)


class Speaker:
    """What the body of `with progress(…)` is given."""

    def __init__(self, progress: Progress, surface: _End) -> None:
        self._progress, self._surface = progress, surface

    def say(self, sentence: str) -> None:
        """Show `sentence` in place of the last one."""
        if sentence != self._progress.sentence:
            self._progress.sentence = sentence
            self._surface.show(self._progress)


@contextmanager
def progress(title: str, total_hint: float | None = None) -> Iterator[Speaker]:
    """Show that `title` is going on; leave one line, 'title: done (1.2 s)'.

    In a notebook one output is updated in place; in a terminal a bar moves; anywhere else,
    and wherever the variable `HANDSON_HEADLESS` is set, only the last line is written.

    >>> with progress("Making the network") as making:
    ...     making.say("two subnets")
    Making the network: done (0.0 s)
    """
    state = Progress(title, total_hint)
    surface = _surface()
    surface.show(state)
    try:
        yield Speaker(state, surface)
    except BaseException:
        state.finish("failed")
        surface.close(state)
        raise
    state.finish("done")
    surface.close(state)


class _NotebookAtEnd(_End):
    def close(self, progress: Progress) -> None:
        from IPython.display import display

        display(progress)  # type: ignore[no-untyped-call]


class _Notebook(_End):
    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, progress: Progress) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(progress, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(progress)

    close = show


class _Terminal(_End):
    """A terminal: a bar, and at the end a line in its place."""

    def __init__(self) -> None:
        from handson.ui.terminal import bar, console

        self._bar = bar(console())

    def show(self, progress: Progress) -> None:
        if not self._bar.tasks:
            self._bar.add_task("", total=progress.total_hint)
            self._bar.start()
        done = min(progress.seconds, 0.96 * (progress.total_hint or 0))
        self._bar.update(self._bar.task_ids[0], description=str(progress), completed=done)

    def close(self, progress: Progress) -> None:
        self._bar.stop()
        super().close(progress)


def _surface() -> _End:
    headless = bool(variable(HEADLESS))
    if _in_notebook():
        return _NotebookAtEnd() if headless else _Notebook()
    return _Terminal() if sys.stdout.isatty() and not headless else _End()


def _in_notebook() -> bool:
    # IPython is asked only where it is loaded already: it is slow to load for a command.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


PROGRESS_STYLE = style_sheet(__package__, "progress.css")
