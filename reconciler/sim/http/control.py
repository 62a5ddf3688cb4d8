"""The simulator's own door, /sim/...: faults, the clock, the whole world, the count of calls.

POST /sim/faults {kind, ...}   set one (see `faults.fault`); answers it with its id
GET  /sim/faults               those that are set
DELETE /sim/faults[/ID]        remove all, or one
POST /sim/clock {offset}       seconds by which the cluster's clock is ahead of this machine's
GET  /sim/world                everything as JSON
POST /sim/save                 write the world to the state file now; answers its path
GET  /sim/calls, DELETE        calls by method and path template since the start or the DELETE
"""

from __future__ import annotations

from typing import Any

import msgspec

from reconciler.sim.api import Simulator
from reconciler.sim.faults.fault import read_fault

Result = tuple[int, Any]


class WrongInput(ValueError):
    """The request makes no sense; its text goes to the caller."""


def answer(simulator: Simulator, method: str, path: str, body: bytes) -> Result:
    """Status and JSON value for one call of this door."""
    parts = path.strip("/").split("/")[1:]
    try:
        given = msgspec.json.decode(body) if body else {}
        found = _dispatch(simulator, method, parts, given)
    except (WrongInput, ValueError, TypeError) as error:
        return 400, {"error": str(error)}
    return (404, {"error": f"nothing at {method} {path}"}) if found is None else found


def _dispatch(simulator: Simulator, method: str, parts: list[str], given: Any) -> Result | None:
    match (method, parts):
        case ("GET", ["faults"]):
            return 200, simulator.faults.listed()
        case ("POST", ["faults"]):
            fault = simulator.faults.add(read_fault(given))
            return 200, next(one for one in simulator.faults.listed() if one["id"] == fault.id)
        case ("DELETE", ["faults"]):
            simulator.faults.clear()
            return 200, []
        case ("DELETE", ["faults", number]):
            gone = simulator.faults.remove(int(number))
            return (200, []) if gone else (404, {"error": f"there is no fault {number}"})
        case ("GET", ["world"]):
            simulator.world.advance(simulator.now)
            return 200, simulator.world.dump()
        case ("POST", ["save"]):
            return 200, {"saved": simulator.save()}
        case ("POST", ["clock"]):
            return 200, set_clock(simulator, given)
        case ("GET", ["calls"]):
            return 200, dict(simulator.tally)
        case ("DELETE", ["calls"]):
            simulator.tally.clear()
            return 200, {}
    return None


def set_clock(simulator: Simulator, given: Any) -> dict[str, float]:
    """The cluster's clock never goes back behind what it has seen."""
    if not isinstance(given, dict) or not isinstance(given.get("offset"), (int, float)):
        raise WrongInput("offset: expected seconds")
    simulator.offset = float(given["offset"])
    simulator.world.advance(simulator.now)
    return {"offset": simulator.offset, "now": simulator.world.now}
