"""How an edit that touches many VMs goes out: in batches, each after the one before is ready."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from desired.model import Int, Model
from desired.units import Duration

_SHARE = re.compile(r"\d{1,3}%")
NEVER = {"over": None}
"""What `rollout: off` stands for."""


def _most(value: object) -> object:
    if isinstance(value, str) and _SHARE.fullmatch(value) and 1 <= int(value[:-1]) <= 100:
        return int(value[:-1]) / 100
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError(f"expected a number of VMs or a share such as 10%, seen {value!r}")


Most = Annotated[
    int | float,
    BeforeValidator(_most),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d+%$"}]}
    ),
]
"""How many VMs: a number, or a share of those that the edit touches (`10%`, at least one)."""


class RolloutRules(Model):
    """When an edit goes out in batches, and how; `rollout: off` lets every edit go out at once.

    An edit of more than `over` VMs goes to `canary` VMs first, then to at most `max_unavailable`
    at a time; each batch begins `pause` after all VMs of the one before were ready. With `per` the
    most is that of each anti-affinity group, or of each package.
    """

    over: Int | None = Field(10, ge=1)
    canary: Int = Field(1, ge=0)
    max_unavailable: Most = 0.1
    pause: Duration = 300.0
    per: Literal["anti_affinity", "package"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_word(cls, value: object) -> object:
        return NEVER if value == "off" else value

    def most(self, size: int) -> int:
        """Return how many of so many VMs may be at work at once."""
        if isinstance(self.max_unavailable, int):
            return self.max_unavailable
        return max(1, int(self.max_unavailable * size + 1e-9))
