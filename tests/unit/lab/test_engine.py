from __future__ import annotations

import pytest

from handson.lab import engine


@pytest.mark.parametrize(
    ("image", "expected"),
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
def test_registries_on_loopback(image: str, expected: bool) -> None:
    assert engine.is_on_loopback(image) is expected


def test_hardware_addresses() -> None:
    assert engine.mac("10.87.2.44") == "02:42:0a:57:02:2c"
    assert engine.mac("") == ""
    assert engine.mac("10.87.2.44") != engine.mac("10.87.2.45")
