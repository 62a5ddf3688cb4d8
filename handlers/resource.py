"""A VM as a resource of the HA manager: who stops and starts it then."""

from handlers.handler import vmid_of
from state.change import Call, Method
from state.observed import HAResource, SeenVM

TROUBLED = ("error", "fence")
"""States in which the manager, or a person, must act before anybody else does."""

RESOURCES = "/cluster/ha/resources"


def known_resource(seen: SeenVM) -> HAResource | None:
    """The VM's resource, whatever its state; None without one, or when it was not read."""
    return (seen.cluster.ha or {}).get(vmid_of(seen))


def resource_of(seen: SeenVM) -> HAResource | None:
    """The resource by which the manager runs the VM; it leaves one alone that is `ignored`."""
    found = known_resource(seen)
    return None if found is None or found.state == "ignored" else found


def is_started(seen: SeenVM) -> bool:
    """Whether the manager starts the VM when it is off."""
    found = resource_of(seen)
    return found is not None and found.state == "started"


def troubled(seen: SeenVM) -> str | None:
    """The manager's own state of the VM where nothing may be touched."""
    state = seen.row.hastate if seen.row else None
    return state if state in TROUBLED else None


def set_state(seen: SeenVM, state: str) -> Call:
    """`PUT /cluster/ha/resources/vm:ID`: what the manager is to see to."""
    return Call(Method.PUT, f"{RESOURCES}/vm:{vmid_of(seen)}", {"state": state})
