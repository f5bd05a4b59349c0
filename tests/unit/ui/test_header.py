"""The head of a notebook."""

from __future__ import annotations

from handson.ui.header import Header, StepMark

STEPS = [
    StepMark("00_start", "Start", "done"),
    StepMark("01_security_group", "Open <587>", "here"),
    StepMark("02_sasl_install", "Install", "open"),
]
HEADER = Header(1, "Open <587>", "Let it in & on.", STEPS)


def test_text() -> None:
    assert HEADER.text().splitlines() == [
        "Step 1: Open <587>",
        "Let it in & on.",
        "✔ Start  ▶ Open <587>  · Install",
    ]


def test_other_steps_are_links_and_this_one_is_not() -> None:
    html = HEADER.html()
    assert 'class="step done" href="00_start.ipynb"' in html
    assert 'class="step open" href="02_sasl_install.ipynb"' in html
    assert "01_security_group.ipynb" not in html
    assert '<b class="step here"' in html


def test_html_is_escaped() -> None:
    html = HEADER.html()
    assert "<587>" not in html
    assert "Let it in &amp; on." in html


def test_how_far() -> None:
    assert HEADER.done == 1
    assert "1 of 3 steps done" in HEADER.html()


def test_a_step_that_has_fallen_back_is_marked() -> None:
    steps = [StepMark("00_start", "Start", "back"), *STEPS[1:]]
    header = Header(1, "Open <587>", "Let it in & on.", steps)
    assert header.text().splitlines()[-1] == "↶ Start  ▶ Open <587>  · Install"
    assert 'class="step back" href="00_start.ipynb"' in header.html()
    assert "Start: was done, and no longer passes" in header.html()
    assert header.done == 0
