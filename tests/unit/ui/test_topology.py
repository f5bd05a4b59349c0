"""The picture says what it was given, and nothing lies over anything else."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from handson.ui.topology import FOCUSES, Topology, Way

GIVEN: dict[str, Any] = {
    "pc": "203.0.113.5",
    "server_public": "203.0.113.10",
    "server_private": "10.87.2.44",
    "client_private": "10.87.3.20",
    "mailbox": "203.0.113.25",
    "recipient": "friend@example.net",
    "network": "10.87.0.0/16",
    "group": "sg_20251124-smtp-handson-smtp-server",
    "lets_in": "22 and 25",
    "trusts": "mynetworks: 10.87.3.20",
    "ways": {25: Way("relays", "warn"), 587: Way("dropped", "bad", "group")},
}
THREE = {**GIVEN["ways"], 465: Way("relays with a login, over TLS", "good")}


def words(topology: Topology) -> list[str]:
    root = ElementTree.fromstring(topology.picture().svg())
    return [element.text or "" for element in root.iter() if element.tag.endswith("text")]


@pytest.mark.parametrize("name", sorted(set(GIVEN) - {"ways"}))
def test_both_faces_say_what_was_given(name: str) -> None:
    topology = Topology(**GIVEN)
    assert GIVEN[name] in topology.text()
    assert any(GIVEN[name] in word for word in words(topology))


@pytest.mark.parametrize("port", THREE)
def test_both_faces_say_the_state_of_the_ports(port: int) -> None:
    topology = Topology(**{**GIVEN, "ways": {**THREE, port: Way("quite odd", "bad")}})
    assert "quite odd" in topology.text()
    assert "quite odd" in words(topology)
    assert "quite odd" in topology.html().partition("src=")[0]


def test_what_is_not_made_yet_is_said() -> None:
    topology = Topology()
    assert topology.text().count("not made yet") == 3
    assert words(topology).count("not made yet") == 3
    assert topology.text().count("not tried yet") == 2


def crosses(topology: Topology) -> int:
    return topology.picture().svg().count("<circle")


def test_a_way_that_ends_has_a_cross() -> None:
    assert crosses(Topology()) == 0
    # One more is in the legend.
    assert crosses(Topology(ways={25: Way("", "bad", "server")})) == 1 + 1
    assert crosses(Topology(**{**GIVEN, "ways": {**THREE, 25: Way("", "good", "server")}})) == 2 + 1


def test_a_third_port_is_drawn_where_there_is_one() -> None:
    topology = Topology(**{**GIVEN, "ways": THREE})
    assert "^ port 465: relays with a login, over TLS" in topology.text()
    assert {"465", "port 465", "over TLS"} <= set(words(topology))
    assert "465" not in Topology(**GIVEN).text() + Topology(**GIVEN).picture().svg()


@pytest.mark.parametrize("tone", ["good", "warn", "bad", "quiet"])
def test_the_legend_names_the_colours_that_are_used_and_no_other(tone: str) -> None:
    meaning = {
        "good": "as it should be",
        "warn": "too open",
        "bad": "in the way",
        "quiet": "not tried yet",
    }
    way = Way("so", tone)
    shown = words(Topology(ways={25: way, 587: way}))
    assert {text for text in meaning.values() if text in shown} == {meaning[tone]}


@pytest.mark.parametrize("focus", FOCUSES)
def test_the_focus_is_marked_once_in_both_faces(focus: str) -> None:
    topology = Topology(**GIVEN, focus=focus)
    expected = 1 if focus else 0
    assert words(topology).count("you work here") == expected
    assert topology.text().count("(*) you work here") == expected
    assert topology.text().count(" (*)") == expected
    assert bool(topology.here) == bool(focus)


def test_an_unknown_focus_is_refused() -> None:
    with pytest.raises(ValueError, match="focus"):
        Topology(focus="nowhere")


def test_the_text_face_has_straight_edges_and_fits_a_terminal() -> None:
    lines = Topology(**GIVEN).text().splitlines()
    vpc = [line for line in lines if line.startswith(("|", "+"))]
    assert len({len(line) for line in vpc}) == 1
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("focus", FOCUSES)
def test_no_text_lies_over_another_or_leaves_the_picture(focus: str) -> None:
    long = "x" * 80
    ways = {port: Way("word " * 20, "bad", "group") for port in THREE}
    wide = {name: long for name in GIVEN if name != "ways"} | {
        "network": "255.255.255.255/16",
        "ways": {port: ways[port] for port in (25, 587)},
    }
    for given in (GIVEN, wide, {**GIVEN, "ways": THREE}, {**wide, "ways": ways}):
        root = ElementTree.fromstring(Topology(**given, focus=focus).picture().svg())
        boxes = []
        for element in root.iter("{http://www.w3.org/2000/svg}text"):
            x, y = float(element.attrib["x"]), float(element.attrib["y"])
            size = float(element.attrib["font-size"])
            width = len(element.text or "") * size * 0.6
            left = {"start": x, "middle": x - width / 2, "end": x - width}[
                element.attrib["text-anchor"]
            ]
            boxes.append((left, y - size * 0.75, left + width, y, element.text))
        for number, one in enumerate(boxes):
            assert one[0] >= 0, one
            assert one[2] <= 760, one
            for other in boxes[number + 1 :]:
                apart = (
                    one[2] <= other[0]
                    or other[2] <= one[0]
                    or one[3] <= other[1]
                    or other[3] <= one[1]
                )
                assert apart, (one, other)


def test_what_was_given_is_escaped() -> None:
    topology = Topology(recipient="<b>&", ways={25: Way('"<i>')})
    html = topology.html()
    assert "<i>" not in html
    image = re.search(r'src="data:image/svg\+xml,([^"]*)"', html)
    assert image
    ElementTree.fromstring(unquote(image[1]))
