"""What a run does about a VM in each state (LOG-09)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from reconciler.pipeline import CHANGE, DEPLOY


class Behaviour(StrEnum):
    """`next`: the next step is made; `ignore`: compared, nothing is to be done; `act`: what was
    asked for is carried out; `skip`: not touched until a person has looked."""

    NEXT = "next"
    IGNORE = "ignore"
    ACT = "act"
    SKIP = "skip"


BEHAVIOURS: Mapping[str, Behaviour] = MappingProxyType(
    {
        **dict.fromkeys((*DEPLOY.names, *CHANGE.names), Behaviour.NEXT),
        "ready": Behaviour.IGNORE,
        "reinstall": Behaviour.ACT,
        "set_dns_records": Behaviour.ACT,
        "terminate": Behaviour.ACT,
        "error_terminate": Behaviour.SKIP,
        "remove": Behaviour.SKIP,
        "abandoned": Behaviour.SKIP,
    }
)
"""By pipeline state, else by phase. `abandoned` was closed out by force."""


def is_skipped(state: str) -> bool:
    """Whether runs leave a VM of this state alone."""
    return BEHAVIOURS.get(state) is Behaviour.SKIP
