"""What a job may ask of its parent: VMs, specs, reads of the Proxmox API, claims of its items."""

from dataclasses import dataclass, field

from desired.spec import VMSpec
from reconciler.loops.loop import Occasion
from reconciler.own.process import Refusal
from reconciler.secrets import SecretError
from reconciler.sim.embedded import EmbeddedFailed
from state.api import Api, ApiError, Json
from state.database import StoreError


@dataclass(slots=True)
class Reads:
    """Answers one run of a job. Nothing it can ask for writes to Proxmox."""

    occasion: Occasion
    secrets: tuple[str, ...] = ()
    _apis: dict[str, Api] = field(default_factory=dict)

    def answer(self, question: dict[str, Json]) -> Json:
        """Answer one question. Raises Refusal."""
        asked = question.get("ask")
        try:
            match asked:
                case "vms":
                    return self._vms()
                case "spec":
                    return self._spec(str(question.get("key"))).model_dump(mode="json")
                case "get":
                    return self._get(question)
                case "claim":
                    return self._claim(question)
                case "settle":
                    self._settle(question)
                    return None
                case "note":
                    self.occasion.note(hidden(str(question.get("text"))[:2000], self.secrets))
                    return None
        except (ApiError, SecretError, EmbeddedFailed, StoreError) as error:
            raise Refusal(str(error)) from error
        raise Refusal(f"a job cannot ask for {asked}; writes are for handlers")

    def _vms(self) -> list[Json]:
        """Every VM of the fleet as it stands in the store."""
        opened = self.occasion.opened
        bindings, conditions = opened.store.bindings.all(), opened.store.conditions.all()
        told: list[Json] = []
        for key, spec in sorted(opened.fleet.vms.items()):
            bound = bindings.get(key)
            true = {one.type for one in conditions.get(key, ()) if one.status}
            raised: list[Json] = [*sorted(true)]
            told.append(
                {
                    "key": key,
                    "name": spec.name,
                    "cluster": spec.cluster,
                    "state": spec.state,
                    "vmid": bound.vmid if bound else None,
                    "phase": str(bound.phase) if bound else None,
                    "tags": list(spec.tags or ()),
                    "conditions": raised,
                    "extensions": spec.model_dump(mode="json")["extensions"],
                }
            )
        return told

    def _spec(self, key: str) -> VMSpec:
        spec = self.occasion.opened.fleet.vms.get(key)
        if spec is None:
            raise Refusal(f"no VM {key} in this fleet")
        return spec

    def _get(self, question: dict[str, Json]) -> Json:
        cluster, path = str(question.get("cluster")), str(question.get("path"))
        params = question.get("params")
        if cluster not in self.occasion.opened.fleet.clusters:
            raise Refusal(f"no cluster {cluster} in this fleet")
        if not path.startswith("/"):
            raise Refusal(f"expected a path such as /cluster/resources, seen {path!r}")
        if cluster not in self._apis:
            self._apis[cluster] = self.occasion.opened.connect(cluster)
        plain = params if isinstance(params, dict) else {}
        wanted = {k: v for k, v in plain.items() if isinstance(v, str | int | float | bool)}
        return self._apis[cluster].get(path, wanted)

    def _claim(self, question: dict[str, Json]) -> bool:
        """Take an item; a dry run says whether it would be taken."""
        occasion, item, every = self.occasion, str(question.get("item")), question.get("every")
        if not isinstance(every, int | float) or not item:
            raise Refusal("expected an item, and seconds between two of its runs")
        loops, at = occasion.store.loops, occasion.clock.now()
        if occasion.dry:
            row = loops.items(occasion.name).get(item)
            return row is None or row.next_at <= at
        return loops.claim_item(occasion.name, item, at, float(every))

    def _settle(self, question: dict[str, Json]) -> None:
        if not self.occasion.dry:
            item, error = str(question.get("item")), str(question.get("error") or "")
            error = hidden(error, self.secrets)
            self.occasion.store.loops.settle_item(self.occasion.name, item, error)


def hidden(text: str, secrets: tuple[str, ...]) -> str:
    """The text without the secrets that the job was given."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text
