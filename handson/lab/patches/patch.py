"""One thing in moto and what takes its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Patch:
    """`owner.name` is to be `value`; it has to be there already, or moto has changed."""

    owner: Any
    name: str
    value: Any

    def __post_init__(self) -> None:
        if not hasattr(self.owner, self.name):
            raise AttributeError(f"{self.owner} has no {self.name}: this is another moto")

    def apply(self) -> None:
        setattr(self.owner, self.name, self.value)
