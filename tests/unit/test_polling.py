from __future__ import annotations

import pytest

from handson import polling as module
from handson.errors import HandsonError
from handson.polling import patience, wait_for


def test_patience_begins_at_once_and_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(module.time, "sleep", sleep)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    gone = list(patience(60))
    assert gone[0] == 0 and gone[-1] <= 60
    assert pauses[0] == 0.2 and pauses == sorted(pauses) and pauses[-1] == 5.0


def test_what_is_waited_for_is_named() -> None:
    with pytest.raises(HandsonError, match="Timed out after 0 s waiting for the post"):
        wait_for(lambda: None, 0, "the post")
