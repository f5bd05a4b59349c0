from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from handson.lab import image
from handson.lab.image import debian_sources, tag


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "image"
    shutil.copytree(image.RECIPE, copy)
    monkeypatch.setattr(image, "RECIPE", copy)
    return copy


def test_the_tag_follows_the_recipe(recipe: Path) -> None:
    before = tag()
    assert tag() == before
    with (recipe / "setup.sh").open("a") as file:
        file.write("# one more line\n")
    changed = tag()
    assert changed != before
    (recipe / "setup.sh").rename(recipe / "set-up.sh")
    assert tag() not in (before, changed)


def test_the_tag_follows_the_base() -> None:
    assert len({tag(), tag("debian:12"), tag("127.0.0.1:5000/debian:12")}) == 3
    assert tag("") == tag()


def test_images_of_one_recipe_belong_together(recipe: Path) -> None:
    now = image._recipe(f"{image.NAME}:{tag()}")
    assert image._recipe(f"{image.NAME}:{tag('debian:12')}") == now
    (recipe / "new").write_text("")
    assert image._recipe(f"{image.NAME}:{tag()}") != now


def test_sources() -> None:
    targets = (
        "Debian|Debian|http://mirror.test/debian/\n"
        "Debian|Debian|http://other.test/debian/\n"
        "Debian|Debian-Security|http://mirror.test/security\n"
        "Docker|Docker CE|http://docker.test/debian/\n"
        "Ubuntu|Ubuntu|http://ubuntu.test/ubuntu/\n"
    )
    assert debian_sources(targets) == [
        "deb http://mirror.test/debian bookworm main",
        "deb http://mirror.test/security bookworm-security main",
    ]


@pytest.mark.parametrize("targets", ["", "Ubuntu|Ubuntu|http://ubuntu.test/ubuntu/\n"])
def test_no_sources(targets: str) -> None:
    assert debian_sources(targets) == []


def test_the_recipe_names_no_registry() -> None:
    for file in image.RECIPE.iterdir():
        assert "://" not in file.read_text().replace("file:///", ""), file


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("127.0.0.1:5000/debian:12", True),
        ("localhost:5000/debian", True),
        ("127.8.8.8:5000/library/debian:12", True),
        ("[::1]:5000/debian:12", True),
        ("debian:12", False),
        ("localhost/smtp-handson-host:1", False),  # Podman's name for what was made here
        ("registry.test:5000/debian:12", False),
        ("docker.io/library/debian:12", False),
        ("127.example.test/debian", False),
    ],
)
def test_registries_on_loopback(name: str, expected: bool) -> None:
    assert image.is_on_loopback(name) is expected
