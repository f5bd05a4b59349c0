"""One object, two faces: text for a terminal and a log, HTML for a notebook.

Every result of the course that a cell may show is a `View`. A view of another kind
says how it looks in `text()` and in `html()`; Jupyter takes both from
`_repr_mimebundle_` and shows the one that fits.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

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


def style_sheet(rules: str) -> str:
    """Return CSS rules as an HTML element; they are to begin with `div.ho`.

    >>> style_sheet("div.ho b{color:red}")
    '<style>div.ho.ho.ho b{color:red}</style>'
    """
    # Named three times over, the class outweighs JupyterLab's own rules for tables and the
    # like. On one line, the sheet is one line of a saved notebook too.
    rules = rules.replace("div.ho", "div.ho.ho.ho").replace("\n", "")
    return f"<style>{rules}</style>"


# Jupyter's own colours where they are defined, a plain value elsewhere (a report in a
# browser). The second block is for a dark Jupyter or editor, where the tones of the first
# would be too dim to read.
STYLE = style_sheet("""
div.ho{
--good:#1a7f37;--bad:#cf222e;--warn:#8a5d00;--info:#0969da;--quiet:#59636e;
--good-bg:rgba(26,127,55,.08);--bad-bg:rgba(207,34,46,.07);--warn-bg:rgba(191,135,0,.10);
--info-bg:rgba(9,105,218,.07);--line:rgba(101,109,118,.28);--soft:rgba(101,109,118,.09);
font-family:var(--jp-content-font-family,system-ui,sans-serif);font-size:14px;line-height:1.5;
color:var(--jp-content-font-color1,#1f2328);max-width:62rem}
[data-jp-theme-light="false"] div.ho,.vscode-dark div.ho{
--good:#56d364;--bad:#ff8e87;--warn:#e3b341;--info:#6cb6ff;--quiet:#9aa4af;
--good-bg:rgba(46,160,67,.16);--bad-bg:rgba(248,81,73,.15);--warn-bg:rgba(187,128,9,.18);
--info-bg:rgba(56,139,253,.15);--line:rgba(154,164,175,.30);--soft:rgba(154,164,175,.13)}
div.ho .good{color:var(--good)}div.ho .bad{color:var(--bad)}div.ho .warn{color:var(--warn)}
div.ho .quiet{color:var(--quiet)}div.ho a{color:var(--info)}
div.ho strong.title{display:block;margin:.3rem 0 .2rem}
div.ho table{border-collapse:collapse;margin:.4rem 0;font-size:13px;border:1px solid var(--line)}
div.ho th,div.ho td{border:0;border-bottom:1px solid var(--line);padding:.3rem .7rem;
text-align:left;vertical-align:top;white-space:normal}
div.ho tr,div.ho tr:hover{background:none}div.ho tr.good{background:var(--good-bg)}
div.ho tr.bad{background:var(--bad-bg)}div.ho tr.warn{background:var(--warn-bg)}
div.ho th{background:var(--soft);font-weight:600}
div.ho code,div.ho pre{font-family:var(--jp-code-font-family,ui-monospace,monospace);
font-size:12.5px}
div.ho code{background:var(--soft);color:inherit;padding:.05rem .3rem;border-radius:4px}
div.ho pre{margin:0;padding:0;white-space:pre-wrap;overflow-wrap:anywhere;word-break:normal;
background:none;color:inherit;line-height:1.45}
div.ho .term{background:#1c2128;border:1px solid var(--line);border-radius:6px;
padding:.5rem .75rem;margin:.3rem 0}
div.ho .term pre{color:#d1d7e0}div.ho .term .host{color:#6cb6ff;font-weight:600}
div.ho .term .cmd{color:#fff;font-weight:600}div.ho .term .note{color:#f69d50}
div.ho .diff{border:1px solid var(--line);border-radius:6px;margin:.3rem 0;overflow:hidden}
div.ho .diff .file{background:var(--soft);padding:.25rem .75rem;font-weight:600;font-size:12.5px}
div.ho .diff pre{padding:.35rem 0}div.ho .diff pre span{display:block;padding:0 .75rem}
div.ho .diff .add{background:var(--good-bg);color:var(--good)}
div.ho .diff .del{background:var(--bad-bg);color:var(--bad)}div.ho .diff .at{color:var(--quiet)}
div.ho .note-box{border-left:4px solid var(--info);background:var(--info-bg);
padding:.4rem .8rem;margin:.3rem 0;border-radius:0 6px 6px 0;color:inherit}
div.ho .note-box.good{border-color:var(--good);background:var(--good-bg)}
div.ho .note-box.bad{border-color:var(--bad);background:var(--bad-bg)}
div.ho .note-box.warn{border-color:var(--warn);background:var(--warn-bg)}
div.ho .note-box.quiet{border-color:var(--line);background:var(--soft)}
div.ho .card{border:1px solid var(--line);border-radius:8px;margin:.4rem 0;overflow:hidden}
div.ho .card>.head{display:flex;flex-wrap:wrap;gap:.2rem .8rem;justify-content:space-between;
background:var(--soft);padding:.4rem .8rem;font-weight:600}
div.ho .card>.row{padding:.35rem .8rem;border-top:1px solid var(--line)}
div.ho .card>.row.good{color:inherit}div.ho .card>.row.good>.mark{color:var(--good)}
div.ho .card>.row.bad{color:inherit;background:var(--bad-bg)}
div.ho .card>.row.bad>.mark{color:var(--bad)}
div.ho .mark{font-weight:700;margin-right:.45rem}
div.ho .chip{display:inline-block;font-size:11.5px;line-height:1.3;padding:.1rem .45rem;
border:1px solid var(--line);border-radius:9px;color:var(--quiet);margin-left:.4rem;
white-space:nowrap}
div.ho dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem .9rem;
margin:.35rem 0 .2rem 1.35rem;font-size:13px}
div.ho dl>dt{float:none;width:auto;font-weight:600;color:var(--quiet)}
div.ho dl>dd{margin:0;width:auto;overflow-wrap:anywhere}
div.ho img.picture{display:block;width:100%;max-width:760px;height:auto;margin:.4rem 0;
border-radius:10px}
[data-jp-theme-light="false"] div.ho img.picture,.vscode-dark div.ho img.picture{
filter:invert(.9) hue-rotate(180deg) saturate(1.25)}
""")

# By tone, the colour in a terminal.
TONES = {"good": "green", "bad": "red", "warn": "yellow", "quiet": "dim", "": ""}


class View:
    """What a cell returns: a thing with a text face and an HTML face."""

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
            "text/plain": self.text(),
            "text/html": f'{STYLE}<div class="ho">{self.html()}</div>',
        }

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def __rich__(self) -> RenderableType:
        """Return the text face with what a terminal adds to it: colours, and lines that fit."""
        from rich.text import Text

        return Text(self.text(), TONES[self.tone])


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
