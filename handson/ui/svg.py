"""Draw a picture as SVG text and put it into a page as an image.

The picture goes into an `<img>` and not into the page itself: JupyterLab takes `<svg>` out
of the outputs of a notebook that it does not trust yet, as one that was just fetched, and
leaves images alone. It is percent-encoded, not base64, so that a reader of the notebook's
file still finds the words in it.
"""

from __future__ import annotations

import textwrap
from html import escape
from urllib.parse import quote

INK, FAINT, PAPER = "#1f2328", "#59636e", "#ffffff"
TONE_COLOURS = {
    "good": "#1a7f37",
    "bad": "#cf222e",
    "warn": "#9a6700",
    "quiet": "#6e7781",
    "": "#6e7781",
}
FOCUS = "#0969da"
FONT = "Inter, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


class Drawing:
    """A drawing of `width` by `height` units; each method adds one shape to it.

    >>> drawing = Drawing(20, 10)
    >>> drawing.line(0, 0, 20, 10)
    >>> drawing.svg().count("<line")
    1
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._shapes: list[str] = []

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = PAPER,
        line: str = "#c4ccd4",
        dash: str = "",
        thick: float = 1.2,
        radius: float = 8,
    ) -> None:
        self._add(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" '
            f'fill="{fill}" stroke="{line}" stroke-width="{thick:g}"{_dash(dash)}/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 12,
        colour: str = INK,
        bold: bool = False,
        mono: bool = False,
        anchor: str = "start",
        room: float = 0,
    ) -> None:
        """Write `words`; where they would be wider than `room`, they are cut with '…'."""
        # 0.63 of the size is the width of a letter in the widest usual font.
        letters = int(room / (size * (0.66 if bold else 0.62))) if room else len(words)
        if len(words) > letters:
            words = words[: max(letters - 1, 1)] + "…"
        weight = ' font-weight="600"' if bold else ""
        family = f' font-family="{MONO}"' if mono else ""
        self._add(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}{family}>{escape(words)}</text>'
        )

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        colour: str = FAINT,
        thick: float = 2,
        dash: str = "",
        arrow: bool = False,
    ) -> None:
        """Draw a straight line, upright or level when it is to end in an `arrow`."""
        self._add(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" '
            f'stroke-width="{thick:g}" stroke-linecap="round"{_dash(dash)}/>'
        )
        if arrow:
            size = 5 + thick
            dx, dy = _sign(x2 - x1) * size, _sign(y2 - y1) * size
            corners = (
                f"{x2 - dx - dy * 0.55:g},{y2 - dy - dx * 0.55:g} "
                f"{x2 + dx * 0.25:g},{y2 + dy * 0.25:g} "
                f"{x2 - dx + dy * 0.55:g},{y2 - dy + dx * 0.55:g}"
            )
            self._add(f'<polygon points="{corners}" fill="{colour}"/>')

    def cross(self, x: float, y: float, colour: str, size: float = 6) -> None:
        """Draw where a way ends: a white disc with a cross in it."""
        self._add(
            f'<circle cx="{x:g}" cy="{y:g}" r="{size + 3:g}" fill="{PAPER}" stroke="{colour}" '
            f'stroke-width="1.8"/>'
        )
        arm = size * 0.6
        for slope in (1, -1):
            self.line(x - arm, y - arm * slope, x + arm, y + arm * slope, colour, 2.2)

    def path(self, data: str, fill: str = "none", line: str = FAINT, thick: float = 1.5) -> None:
        self._add(
            f'<path d="{data}" fill="{fill}" stroke="{line}" stroke-width="{thick:g}" '
            f'stroke-linejoin="round" stroke-linecap="round"/>'
        )

    def svg(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
            f'height="{self.height}" viewBox="0 0 {self.width} {self.height}" '
            f'font-family="{FONT}">{"".join(self._shapes)}</svg>'
        )

    def image(self, alt: str) -> str:
        """Return the drawing as an HTML image; `alt` says in words what it shows."""
        source = quote(self.svg(), safe=" ='():/,;.-")
        source = source.replace("'", "%27")
        return f'<img class="picture" alt="{escape(alt)}" src="data:image/svg+xml,{source}">'

    def _add(self, shape: str) -> None:
        self._shapes.append(shape)


def wrap(words: str, room: float, size: float = 12, lines: int = 2) -> list[str]:
    """Break `words` into at most `lines` lines of `room` units; the last may end in '…'.

    >>> wrap("open to everyone without a login", 120)
    ['open to everyone', 'without a login']
    """
    return textwrap.wrap(words, max(int(room / (size * 0.62)), 4), max_lines=lines, placeholder="…")


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def _dash(pattern: str) -> str:
    return f' stroke-dasharray="{pattern}"' if pattern else ""
