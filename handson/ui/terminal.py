"""How a terminal, a log or a pipe gets to see tables, bars and sentences: by rich."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from handson.errors import printable
from handson.secret import masked
from handson.ui.view import TONES

WHOLE = 10_000  # wide enough for any line


def console() -> Console:
    """Return a console that shows words as they are; in a file or a pipe no line is broken."""
    made = Console(highlight=False, markup=False, emoji=False, force_jupyter=False)
    if not made.is_terminal:
        made.width = WHOLE
    return made


def plain(shown: RenderableType) -> str:
    """Return a thing as lines without colours, none of them broken.

    >>> print(plain(grid(["port", "open"], [["25", "yes"], ["587", "no"]], ["", "bad"])))
    port  open
    ----  ----
    25    yes
    587   no
    """
    made = Console(width=WHOLE, color_system=None, force_terminal=False, force_jupyter=False)
    with made.capture() as said:
        made.print(shown)
    return "\n".join(line.rstrip() for line in said.get().removesuffix("\n").split("\n"))


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]], tones: Sequence[str]) -> Table:
    """Return a table whose rows have tones, the keys of `TONES`.

    Raises ValueError where a row is longer or shorter than the columns.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(column))
    table.add_row(*(Rule(characters="-", style="") for _column in columns))
    for row, tone in zip(rows, tones, strict=True):
        cells = [Text(printable(masked(cell))) for _column, cell in zip(columns, row, strict=True)]
        table.add_row(*cells, style=TONES[tone])
    return table


def bar(shown_on: Console, *columns: ProgressColumn) -> Progress:
    """Return a bar that goes away at its end: what is going on, `columns`, and how long so far."""
    return Progress(
        BarColumn(20),
        TextColumn("{task.description}", markup=False),
        *columns,
        TimeElapsedColumn(),
        console=shown_on,
        transient=True,
    )
