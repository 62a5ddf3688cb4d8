"""Whether a VM that is as its spec says is well: it runs, and its guest agent answers."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.power import is_wanted_off
from reconciler.site import Site
from reconciler.turn import Turn
from state.api import ApiError, Forbidden
from state.store import Store


@dataclass(frozen=True, slots=True)
class Health:
    """Asks the clusters of a run."""

    sites: Mapping[str, Site]
    store: Store

    def __call__(self, turn: Turn) -> str:
        """Say what a ready VM lacks; nothing when it is well.

        Without the right to ask the agent (VM.Monitor, from 9.0 VM.GuestAgent.Audit) it is taken
        for well, as one is that has no agent or shall not run. `GET …/agent/info`.
        """
        spec, site = turn.spec, self.sites.get(turn.spec.cluster)
        off = is_wanted_off(spec) or spec.power != "running"
        if not spec.agent or off or site is None:
            return ""
        place = self._place(turn)
        try:
            if place:
                site.api.get(f"/nodes/{place[0]}/qemu/{place[1]}/agent/info")
        except Forbidden:
            return ""
        except ApiError as error:
            return f"its guest agent does not answer: {error.text}"
        return ""

    def _place(self, turn: Turn) -> tuple[str, int] | None:
        """Its node and vmid: as this run saw them, else as they were when it was last seen."""
        binding = self.store.bindings.all().get(turn.key)
        if binding is None:
            return None
        seen = turn.last.plan.seen if turn.last else None
        return (seen.node if seen and seen.node else binding.node or ""), binding.vmid
