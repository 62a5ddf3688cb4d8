"""What is done about a value that somebody changed in Proxmox: put back, told, or left alone."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

Policy = Literal["enforce", "alert", "ignore"]
DEFAULT: Policy = "enforce"

Aspect = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
"""`default`, or the name of a handler: `memory`, `disks`, `firewall`, `power` …"""


def _for_all(value: object) -> object:
    return {"default": value} if isinstance(value, str) else value


_WORDS: dict[str, object] = {"enum": ["enforce", "alert", "ignore"]}
_FORM: dict[str, object] = {
    "anyOf": [_WORDS, {"type": "object", "additionalProperties": _WORDS}],
    "examples": ["alert", {"default": "enforce", "power": "alert"}],
}
Drift = Annotated[dict[Aspect, Policy], BeforeValidator(_for_all), WithJsonSchema(_FORM)]
"""`drift: alert`, or by handler: `drift: {default: enforce, power: alert, tags: ignore}`.

It rules what was changed outside only: an edit of the spec is applied whatever stands here.
"""


def policy_for(drift: dict[Aspect, Policy], handler: str) -> Policy:
    """Return what is to be done about drift that a handler finds."""
    return drift.get(handler, drift.get("default", DEFAULT))
