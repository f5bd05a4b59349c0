"""One object, two faces: text for a terminal and a log, HTML for a notebook.

Every result of the course that a cell may show is a `View`. A view of another kind
says how it looks in `text()` and in `html()`; Jupyter takes both from
`_repr_mimebundle_` and shows the one that fits.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

from handson.errors import printable
from handson.secret import masked

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "STYLE",
    "TONES",
    "Diff",
    "Note",
    "Session",
    "Table",
    "Terminal",
    "View",
    "escape",
    "style_sheet",
]


def style_sheet(package: str, name: str) -> str:
    """Return a package's CSS file as an HTML element; its rules are to begin with `div.ho`.

    >>> style_sheet("handson.ui", "progress.css")[:44]
    '<style>div.ho.ho.ho .progress .rail{height:6'
    """
    rules = files(package).joinpath(name).read_text("utf-8")
    # Named three times over, the class outweighs JupyterLab's own rules for tables and the
    # like. On one line, the sheet is one line of a saved notebook too.
    rules = rules.replace("div.ho", "div.ho.ho.ho").replace("\n", "")
    return f"<style>{rules}</style>"


# Jupyter's own colours where they are defined, a plain value elsewhere (a report in a
# browser). The second block is for a dark Jupyter or editor, where the tones of the first
# would be too dim to read.
STYLE = style_sheet(__package__, "view.css")

# By tone, the colour in a terminal.
TONES = {"good": "green", "bad": "red", "warn": "yellow", "quiet": "dim", "": ""}


class View:
    """What a cell returns: a thing with a text face and an HTML face.

    What shows it, shows it with the mask over secrets; `text` and `html` are without it.
    """

    tone = ""

    def text(self) -> str:
        raise NotImplementedError

    def html(self) -> str:
        """Return the HTML face, without the style sheet and the outer `div`."""
        return f"<pre>{escape(self.text())}</pre>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # The style goes with every output: JupyterLab takes cells that are out of sight
        # out of the page, and a style sheet kept in one of them would go with it.
        return {
            "text/plain": str(self),
            "text/html": f'{STYLE}<div class="ho">{masked(self.html())}</div>',
        }

    def __str__(self) -> str:
        return printable(masked(self.text()))

    def __repr__(self) -> str:
        return str(self)

    def __rich__(self) -> RenderableType:
        """Return the text face with what a terminal adds to it: colours, and lines that fit."""
        from rich.text import Text

        return Text(str(self), TONES[self.tone])


class Note(View):
    """A sentence with a tone: 'good', 'bad', 'warn' or none.

    >>> Note("Port 587 is open already.", tone="good")
    ✔ Port 587 is open already.
    """

    MARKS: ClassVar = {"good": "✔ ", "bad": "✘ ", "warn": "! ", "quiet": "", "": ""}

    def __init__(self, sentence: str, tone: str = "") -> None:
        self.sentence, self.tone = sentence, tone

    def text(self) -> str:
        return self.MARKS[self.tone] + self.sentence

    def html(self) -> str:
        return f'<div class="note-box {self.tone}">{escape(self.text())}</div>'


class Table(View):
    """A table; `tones` colours whole rows (one of `TONES` each).

    >>> Table(["port", "open"], [["25", "yes"], ["587", "no"]], title="Ports")
    Ports
    port  open
    ----  ----
    25    yes
    587   no
    """

    def __init__(
        self,
        columns: list[str],
        rows: list[list[str]],
        title: str = "",
        tones: list[str] | None = None,
        empty: str = "",
    ) -> None:
        self.columns, self.rows, self.title = columns, rows, title
        self.tones = tones or [""] * len(rows)
        self.empty = empty

    def text(self) -> str:
        from handson.ui.terminal import plain

        return plain(self)

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from handson.ui.terminal import grid

        is_empty = not self.rows and self.empty
        body = Text(self.empty) if is_empty else grid(self.columns, self.rows, self.tones)
        return Group(Text(self.title, "bold"), body) if self.title else body

    def html(self) -> str:
        title = f'<strong class="title">{escape(self.title)}</strong>' if self.title else ""
        if not self.rows and self.empty:
            return f'{title}<div class="quiet">{escape(self.empty)}</div>'
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        body = "".join(
            f'<tr class="{tone}">' + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row, tone in zip(self.rows, self.tones, strict=True)
        )
        return f"{title}<table><tr>{head}</tr>{body}</table>"


class Terminal(View):
    """A command as it was typed on a host, and what it printed.

    >>> Terminal("server", "echo hello", "hello", 0)
    [server]$ echo hello
    hello
    """

    def __init__(self, host: str, command: str, output: str, status: int, note: str = "") -> None:
        self.host, self.command, self.output = host, command, output
        self.status, self.note = status, note

    def text(self) -> str:
        lines = [f"[{self.host}]$ {self.command}"]
        if self.output.strip("\n"):
            lines.append(self.output.strip("\n"))
        if self.note:
            lines.append(f"# {self.note}")
        return "\n".join(lines)

    def html(self) -> str:
        output, note = escape(self.output.strip("\n")), escape(self.note)
        return (
            '<div class="term"><pre>'
            f'<span class="host">[{escape(self.host)}]$</span> '
            f'<span class="cmd">{escape(self.command)}</span>'
            + (f"\n{output}" if output else "")
            + (f'\n<span class="note"># {note}</span>' if note else "")
            + "</pre></div>"
        )


class Session(View):
    """Several commands in one terminal."""

    def __init__(self, commands: list[Terminal]) -> None:
        self.commands = commands

    @property
    def output(self) -> str:
        """What all commands printed, together."""
        return "\n".join(command.output.strip("\n") for command in self.commands)

    def text(self) -> str:
        return "\n".join(command.text() for command in self.commands)

    def html(self) -> str:
        return "".join(command.html() for command in self.commands)


class Diff(View):
    """A file against its backup, as `diff -u` prints it.

    >>> Diff("/etc/motd", "")
    /etc/motd: no difference from its backup
    """

    def __init__(self, path: str, unified: str, unchanged: str = "") -> None:
        self.path, self.unified = path, unified.strip("\n")
        self.unchanged = unchanged or "no difference from its backup"

    def text(self) -> str:
        return self.unified or f"{self.path}: {self.unchanged}"

    def html(self) -> str:
        if not self.unified:
            return f'<div class="quiet">{escape(self.text())}</div>'
        lines = []
        for line in self.unified.splitlines():
            if line.startswith(("---", "+++")):
                continue
            kind = {"+": "add", "-": "del", "@": "at"}.get(line[:1], "")
            # The line's end stays inside: it shows only where the style sheet was taken away.
            lines.append(f'<span class="{kind}">{escape(line) or " "}\n</span>')
        return (
            f'<div class="diff"><div class="file">{escape(self.path)}</div>'
            f"<pre>{''.join(lines)}</pre></div>"
        )
