"""The steps, by whatever a learner calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

from handson.course import outline
from handson.course.outline import steps
from handson.errors import HandsonError

STEPS = steps()


@pytest.mark.parametrize(
    "text", ["05", "5", "05_master_cf", "master_cf", " 05 ", "05_MASTER_CF", "05_master_cf.ipynb"]
)
def test_a_step_is_found_by_each_of_its_names(text: str) -> None:
    assert outline.find(text).slug == "05_master_cf"


@pytest.mark.parametrize("text", ["", "nine", "99", "5_", "master", "05 master_cf", "-1"])
def test_another_name_is_refused_and_the_steps_are_named(text: str) -> None:
    with pytest.raises(HandsonError, match="There is no step") as caught:
        outline.find(text)
    assert all(step.slug in caught.value.cure for step in STEPS)


def test_before_and_after() -> None:
    assert [step.slug for step in outline.until("02_sasl_install")] == [
        "00_start",
        "01_security_group",
    ]
    assert outline.until("00_start") == ()
    assert outline.since("00_start") == STEPS
    assert outline.since(STEPS[-1].slug) == STEPS[-1:]


def test_the_checkout(tmp_path: Path) -> None:
    assert outline.checkout(tmp_path) == tmp_path
    assert (outline.checkout() / "notebooks" / "00_start.ipynb").is_file()
