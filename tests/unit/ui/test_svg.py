"""A drawing is well-formed and reaches the page as an image."""

from __future__ import annotations

import re
from urllib.parse import unquote
from xml.etree import ElementTree

from handson.ui.svg import Drawing, wrap


def drawing() -> Drawing:
    drawn = Drawing(100, 50)
    drawn.box(0, 0, 10, 10, dash="2 2")
    drawn.line(0, 0, 0, 20, arrow=True)
    drawn.cross(5, 5, "#cf222e")
    drawn.path("M0 0 h5")
    drawn.text(1, 2, "a < \"b\" & 'c' #1 100%", bold=True, mono=True)
    return drawn


def test_it_is_well_formed() -> None:
    root = ElementTree.fromstring(drawing().svg())
    assert root.attrib["viewBox"] == "0 0 100 50"
    assert "".join(root.itertext()) == "a < \"b\" & 'c' #1 100%"


def test_the_image_holds_the_drawing() -> None:
    image = drawing().image('what "it" shows')
    found = re.fullmatch(
        r'<img class="picture" alt="([^"]*)" src="data:image/svg\+xml,([^"]*)">', image
    )
    assert found
    assert found[1] == "what &quot;it&quot; shows"
    assert unquote(found[2]) == drawing().svg()
    assert not set("#<>'") & set(found[2])


def test_words_are_cut_to_their_room() -> None:
    drawn = Drawing(100, 50)
    drawn.text(0, 0, "a very long name indeed", size=10, room=62)
    assert ">a very lo…<" in drawn.svg()


def test_an_arrow_points_where_the_line_goes() -> None:
    down, left = Drawing(9, 9), Drawing(9, 9)
    down.line(0, 0, 0, 100, thick=1, arrow=True)
    left.line(100, 0, 0, 0, thick=1, arrow=True)
    assert "0,101.5" in down.svg()
    assert "-1.5,0" in left.svg()


def test_wrap() -> None:
    assert wrap("", 100) == []
    assert wrap("one two three four five six", 60, 12, lines=2) == ["one two", "three…"]
