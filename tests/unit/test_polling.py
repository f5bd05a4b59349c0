from __future__ import annotations

import pytest

from handson import polling as module
from handson.polling import patience


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
