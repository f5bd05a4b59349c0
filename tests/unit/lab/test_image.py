from __future__ import annotations

import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

from handson.errors import LabError
from handson.lab import image, processes
from handson.lab import state as states
from handson.lab.engine import Engine
from handson.lab.image import debian_sources, tag


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "image"
    shutil.copytree(image.RECIPE, copy)
    monkeypatch.setattr(image, "RECIPE", copy)
    return copy


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(states, "home_of", lambda uid: tmp_path)
    return tmp_path


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


class Images:
    """The engine's images, by name; one in use cannot be removed."""

    def __init__(self, in_use: str = "", **there: str) -> None:
        self.there, self.in_use = there, in_use

    def get(self, name: str) -> str:
        if name not in self.there:
            raise ImageNotFound("none")
        return name

    def list(self, name: str, filters: dict[str, str]) -> list[Any]:
        assert name == image.NAME
        _label, _is, checkout = filters["label"].partition("=")
        return [SimpleNamespace(tags=[one]) for one, of in self.there.items() if of == checkout]

    def remove(self, name: str) -> None:
        if name == self.in_use:
            raise APIError("409 Conflict")
        del self.there[name]


def engine_with(images: Images) -> Engine:
    return Engine("lab", SimpleNamespace(images=images))  # type: ignore[arg-type]


def test_only_what_this_checkout_made_is_removed() -> None:
    new, old, used, other = (f"{image.NAME}:{name}" for name in ("new", "old", "used", "other"))
    mine = image.CHECKOUT
    images = Images(used, **{new: mine, old: mine, used: mine, other: "/another/checkout"})
    image._drop_old(engine_with(images), new)
    assert images.there.keys() == {new, used, other}


def test_two_who_need_the_image_build_it_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    images, built = Images(), threading.Semaphore(0)
    begun, go_on = threading.Event(), threading.Event()

    def bootstrap(_engine: Engine, name: str, _say: object) -> None:
        begun.set()
        assert go_on.wait(60)
        images.there[name] = image.CHECKOUT
        built.release()

    monkeypatch.setattr(image, "can_bootstrap", lambda: True)
    monkeypatch.setattr(image, "_bootstrap", bootstrap)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(image.ensure, engine_with(images), print)
        assert begun.wait(60)
        second = pool.submit(image.ensure, engine_with(images), print)
        go_on.set()
        assert first.result(60) == second.result(60) == f"{image.NAME}:{tag()}"
    assert built.acquire(blocking=False) and not built.acquire(blocking=False)


def test_whoever_is_stopped_ends_the_build(tmp_path: Path) -> None:
    def stop(_sentence: str) -> None:
        raise KeyboardInterrupt

    marker = str(tmp_path / "never-made")
    program = f"print('Setting up all', flush=True); import time; time.sleep(600); {marker!r}"
    with pytest.raises(KeyboardInterrupt):
        image._follow([sys.executable, "-c", program], stop)
    assert not processes.find(program)


def test_a_full_disk_is_told() -> None:
    failing = [sys.executable, "-c", "raise OSError(28, 'No space left on device')"]
    with pytest.raises(LabError) as caught:
        image._follow(failing, print)
    assert "No space left on device" in caught.value.what
    assert "A disk is full" in caught.value.cure and "df -h" in caught.value.cure
    with pytest.raises(LabError) as caught:
        image._follow([sys.executable, "-c", "raise OSError('no mirror')"], print)
    assert "no mirror" in caught.value.what and "apt-get update" in caught.value.cure


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("dial tcp 192.0.2.1:5000: connection refused", "The registry registry.test:5000 of"),
        ("lookup registry.test: no such host", "cannot be reached: lookup registry.test"),
        ("manifest unknown", "The registry registry.test:5000 has no image"),
        ("E: broken packages", "could not be built on registry.test:5000/debian:12"),
    ],
)
def test_what_a_registry_lacks_is_named(said: str, what: str) -> None:
    error = image.not_on("registry.test:5000/debian:12", said)
    assert what in error.what and said in error.what
    assert "--base IMAGE" in error.cure
