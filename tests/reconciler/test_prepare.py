"""What a tick stands on: sites, turns, addresses in use, renames."""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from desired.source import Fleet
from reconciler.config import Opened
from reconciler.prepare import (
    Stage,
    addresses_in_use,
    fits,
    renamed,
    renames,
    turns_of,
    unmatched,
)
from reconciler.pve.contact import ClosedApi
from reconciler.report import Remark, Traced
from reconciler.secrets import SecretError
from reconciler.sim.embedded import EmbeddedFailed
from reconciler.site import Site
from state.api import Forbidden, Json, Refused, Unavailable
from state.change import Call, Method
from state.store import Store
from tests.engine import AT, Answers, HandClock, Told, binding, fleet, lease, spec

HEALTHY: dict[str, Json] = {
    "/version": {"version": "8.4.1"},
    "/cluster/status": [
        {"type": "cluster", "quorate": 1, "name": "demo"},
        {"type": "node", "name": "pve1", "online": 1, "ip": "192.0.2.11"},
    ],
    "/cluster/firewall/options": {"enable": 1},
    "/access/permissions": {},
    "/cluster/resources": [],
    "/storage": [],
    "/nodes/pve1/network": [],
}


class StagedOpened(Opened):
    """A fleet whose cluster is a hand-written API, or cannot be opened."""

    api: Answers | Exception

    def connect(self, name: str) -> Answers:
        if isinstance(self.api, Exception):
            raise self.api
        return self.api


@dataclass
class Scene:
    """A fleet of one VM, and sites that are opened run by run."""

    source: Fleet = field(default_factory=lambda: fleet(spec()))
    store: Store = field(default_factory=lambda: Store.temporary(at=AT))
    api: Answers | Exception = field(
        default_factory=lambda: Answers({path: [answer] for path, answer in HEALTHY.items()})
    )
    clock: HandClock = field(default_factory=HandClock)
    told: Told = field(default_factory=Told)

    def site(self, dry: bool = False, since: float | None = None) -> Site:
        """Open the sites as a run does that comes `since` seconds after the last one."""
        opened = StagedOpened(self.source, self.store, Path("x.db"), dry, ExitStack())
        opened.api = self.api
        self.stage = Stage(opened, self.told, self.clock, dry)
        last = None if since is None else self.clock.at - timedelta(seconds=since)
        site = self.stage.sites(self.source.vms.values(), last)["demo"]
        site.learn()
        return site

    def asked(self) -> list[str]:
        """The paths that the last opening asked for."""
        assert isinstance(self.api, Answers)
        got = list(self.api.got)
        self.api.got.clear()
        return got


@pytest.fixture
def scene() -> Scene:
    return Scene()


def words(scene: Scene) -> str:
    return "\n".join(one.text for one in scene.told.events if isinstance(one, Remark))


def test_preflight_is_made_on_first_contact_and_kept(scene: Scene) -> None:
    scene.site()
    assert "/version" in scene.asked()
    site = scene.site()
    assert scene.asked() == []
    assert site.facts["firewall_enabled"] is True


def test_preflight_is_made_again_when_the_fleet_uses_something_new(scene: Scene) -> None:
    scene.site()
    scene.asked()
    scene.source = fleet(spec(), spec("web-2", storage="ceph", clone="full"))
    scene.site()
    assert "/version" in scene.asked()


def test_findings_are_told_and_looked_at_again_soon(scene: Scene) -> None:
    """Every one with what to do (`doctor`)."""
    scene.site()
    assert "cluster demo: " in words(scene)
    scene.asked()
    scene.clock.at += timedelta(minutes=11)
    scene.site()
    assert "/version" in scene.asked()


def test_a_dry_run_keeps_nothing(scene: Scene) -> None:
    scene.site(dry=True)
    assert scene.store.settings.get("preflight:demo") is None


def test_a_version_that_nobody_knows_is_read_only_and_asked_for_each_time(scene: Scene) -> None:
    """Design 4: an unknown major version is read-only with one clear line."""
    assert isinstance(scene.api, Answers)
    scene.api.answers = {**scene.api.answers, "/version": [{"version": "12.0"}]}
    for _ in range(2):
        site = scene.site()
        assert site.problem is not None
        assert "12" in site.problem
        assert "/version" in scene.asked()


def test_whether_the_firewall_is_on_is_never_stale(scene: Scene) -> None:
    """C10: anti-spoofing rests on it and nothing hints at its being switched."""
    scene.source = fleet(spec(firewall={"anti_spoofing": True}))
    assert scene.site().firewall is True
    scene.asked()
    assert isinstance(scene.api, Answers)
    scene.api.answers = {**scene.api.answers, "/cluster/firewall/options": [{"enable": 0}]}
    assert scene.site().firewall is False
    assert scene.asked() == ["/cluster/firewall/options"]
    scene.api.answers = {
        **scene.api.answers,
        "/cluster/firewall/options": [Unavailable("refused")],
    }
    assert scene.site().firewall is None


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("the certificate is not the pinned one"),
        SecretError("env:T is not set"),
        EmbeddedFailed("the simulated cluster did not start"),
    ],
)
def test_a_cluster_that_cannot_be_opened_is_a_problem_of_its_own(
    scene: Scene, error: Exception
) -> None:
    """DEP-27: the other clusters go on."""
    scene.api = error
    site = scene.site()
    assert site.problem is not None
    assert str(error) in site.problem
    assert not site.passing, "to try again at once is of no use"


def test_a_closed_api_answers_every_call_with_its_reason() -> None:
    closed = ClosedApi("no token")
    with pytest.raises(Unavailable, match="no token"):
        closed.get("/version")
    with pytest.raises(Unavailable, match="no token"):
        closed.send(Call(Method.POST, "/pools"))
    assert (closed.reads, closed.writes, closed.skew, closed.identity) == (0, 0, None, "")


def test_each_request_is_traced_without_a_body(scene: Scene) -> None:
    """LOG-05"""
    scene.site()
    assert isinstance(scene.api, Answers)
    assert scene.api.trace is not None
    scene.api.trace("GET", "/version", 0.5, 200)
    event = scene.told.events[-1]
    assert event == Traced(AT, "GET", "/version", 200, 0.5, "demo")


def test_the_rotation_follows_the_time_since_the_last_run(scene: Scene) -> None:
    for number in range(30):
        scene.store.bindings.bind(binding(f"vm-{number}", 100 + number))
    assert scene.site().rotation == 1
    assert scene.site(since=300).rotation == 10
    scene.source = replace(scene.source, verify_every=300)
    assert scene.site(since=300).rotation == 30


def test_a_vmid_is_free_when_proxmox_would_give_it(scene: Scene) -> None:
    """DEP-12"""
    site = scene.site()
    assert isinstance(scene.api, Answers)
    path = "/cluster/nextid"
    scene.api.answers = {path: ["101"]}
    assert site.vmid_free(101)
    scene.api.answers = {path: [Refused("VM 101 already exists", 400)]}
    assert not site.vmid_free(101)
    scene.api.answers = {path: [Forbidden("no")]}
    with pytest.raises(Forbidden):
        site.vmid_free(101)


def test_turns_are_the_sound_wanted_specs_that_fit() -> None:
    source = fleet(spec("web-1"), spec("web-2", state="absent"), spec("db-1"))
    assert list(turns_of(source, ())) == ["db-1", "web-1"]
    assert list(turns_of(source, ("web-*",))) == ["web-1"]


@pytest.mark.parametrize(
    ("key", "only", "fit"),
    [
        ("a", (), True),
        ("web/1", ("web/*",), True),
        ("web-1", ("db-*", "web-?"), True),
        ("Web-1", ("web-*",), False),
    ],
)
def test_globs_are_of_keys_and_mind_the_case(key: str, only: tuple[str, ...], fit: bool) -> None:
    assert fits(key, only) is fit


def test_a_glob_that_fits_nothing_is_told() -> None:
    source = fleet(spec("web-1"), broken=frozenset({"bad"}))
    assert unmatched(source, ("web-*", "bad", "db-*")) == ["db-*"]


def test_addresses_given_by_hand_are_never_leased() -> None:
    """IP-11"""
    store = Store.temporary(at=AT)
    store.bindings.bind(binding())
    store.leases.take(lease("web-1", "192.0.2.3"))
    nics = {"net0": {"ipv4": {"static": "192.0.2.4/29"}, "ipv6": "auto"}, "net1": {}}
    found = addresses_in_use(fleet(spec("web-2", nics=nics)), store, AT)
    assert (found.taken, found.reserved) == ({"192.0.2.3"}, {"192.0.2.4"})


def test_a_machine_is_carried_to_its_new_key_once() -> None:
    """`was:` design 4, Identity"""
    store = Store.temporary(at=AT)
    store.bindings.bind(binding("old"))
    source = fleet(spec("new", was="old"), spec("other"))
    assert renamed(source, store) == ["old -> new"]
    assert store.bindings.all().keys() == {"new"}
    assert renamed(source, store) == []


def test_a_key_that_has_a_machine_takes_no_other() -> None:
    assert renames(fleet(spec("new", was="old")), ["old", "new"]) == []
    assert renames(fleet(spec("new")), ["old"]) == []
