"""Several clusters behind real HTTPS, each a process of its own, and one fleet over all of them."""

from dataclasses import dataclass

from reconciler.report import Remark, Summary, VMError, VMPaused
from reconciler.sim.launch import FLEET_TOKEN, FLEET_USER
from tests.grounds import Grounds

ENTRY = """\
  {name}:
    endpoints: [{urls}]
    token: {{id: "{user}!{token}", secret: "file:token"}}
    tls: {{fingerprints: ["{fingerprint}"]}}
    timeouts: {{light: {light}}}
"""
FLEET = """\
fleet: scene
clusters:
{clusters}defaults: {{template: debian-12, storage: local-lvm, domain: example.net}}
templates:
  debian-12: {{{copies}}}
"""
LEASE = "nics: {net0: {ipv4: {pool: public-v4}}}"
CALLS = "POST /nodes/{node}/qemu/{vmid}/clone"


@dataclass
class Estate:
    """Clusters by name, each a server of its own; the first one's folder holds the fleet."""

    clusters: dict[str, Grounds]

    @property
    def first(self) -> Grounds:
        return next(iter(self.clusters.values()))

    def entry(self, name: str, urls: tuple[str, ...] = (), light: int = 10, at: str = "") -> str:
        """A cluster's entry in fleet.yaml; `at` is the cluster that it leads to."""
        server = self.clusters[at or name].server
        return ENTRY.format(
            name=name,
            urls=", ".join(f'"{url}"' for url in urls or server.urls),
            user=FLEET_USER,
            token=FLEET_TOKEN,
            fingerprint=server.fingerprint,
            light=light,
        )

    def fleet(self, *entries: str, names: tuple[str, ...] = ()) -> None:
        """Write fleet.yaml with these cluster entries."""
        copies = ", ".join(f"{name}: [9000, 9001, 9002]" for name in names or self.clusters)
        text = FLEET.format(clusters="".join(entries), copies=copies)
        self.first.write({"fleet.yaml": text})

    def later(self, seconds: float) -> None:
        self.first.later(seconds)
        for one in self.clusters.values():
            one.sim("POST", "clock", offset=self.first.clock.ahead)

    def settle(self, runs: int = 8) -> Summary:
        for _ in range(runs):
            summary = self.first.run()
            if summary.ready == summary.vms and summary.writes == 0:
                return summary
            self.later(1000.0)
        raise AssertionError(f"not settled after {runs} runs: {self.first.told.events}")

    def clones(self, name: str) -> int:
        return int(self.clusters[name].sim("GET", "calls").get(CALLS, 0))

    def machines(self, name: str) -> dict[str, str]:
        """Its VMs that are no templates, by name, with their state."""
        found = self.clusters[name].world().vms.items()
        return {str(vm.config["name"]): vm.status for vmid, vm in found if vmid < 9000}

    def errors(self) -> list[str]:
        """What the last run told that concerns no single VM, or several of them."""
        told = self.first.told.events
        assert not [one for one in told if isinstance(one, VMError | VMPaused)], told
        return [one.text for one in told if isinstance(one, Remark) and one.level == "error"]
