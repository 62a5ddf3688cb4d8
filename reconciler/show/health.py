"""The health of a fleet for people and programs."""

from collections.abc import Sequence

from reconciler.lamp import Check, lamp
from reconciler.show.text import Paint
from state.api import Json

MARKS = {"ok": "ok  ", "warn": "WARN", "bad": "BAD "}


def render_health(checks: Sequence[Check], paint: Paint) -> str:
    """Return a line for each check, and the lamp."""
    lines = [line for check in checks for line in _lines(check, paint)]
    wrong = sum(check.status != "ok" for check in checks)
    if lamp(checks) == "green":
        return "\n".join([*lines, paint.good("green: all is well")])
    return "\n".join([*lines, paint.bad(f"red: {wrong} of {len(checks)} checks are not well")])


def check_json(check: Check) -> dict[str, Json]:
    return {
        "check": check.name,
        "status": check.status,
        "text": check.text,
        "advice": check.advice,
    }


def _lines(check: Check, paint: Paint) -> list[str]:
    text = f"{MARKS[check.status]}  {check.name}: {check.text}"
    if check.status == "ok":
        return [text]
    return [paint.bad(text), *([f"      {check.advice}"] if check.advice else [])]
