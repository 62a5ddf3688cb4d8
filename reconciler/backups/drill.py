"""A drill: a backup is put back beside its VM with its nics unplugged, booted, and removed.

What is begun stands in the store before it is sent, so that who comes after a crash removes it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from reconciler.clock import Clock
from reconciler.pve.form import quote_segment
from reconciler.pve.tasks import task_status
from state.api import Api, ApiError, Json, NotFound
from state.change import Call, Method, Param
from state.store import Store
from state.view import Row, rows, text

SETTING = "restore-drill"
TAG = "reconcile-drill"
STEADY = 30.0
"""Seconds for which a VM without an agent has to run."""

UNHEARD = timedelta(seconds=60)
"""How long a restore that was sent, and not heard of, may yet come to be."""

PAUSE, TIDY = 1.0, 300.0
_NIC = re.compile(r"^(net\d+): (\S+)$", re.M)
_FOREIGN = re.compile(r"^((?:hostpci|usb|virtiofs)\d+): ", re.M)
_DISK = re.compile(r"(?:scsi|virtio|sata|ide|efidisk|tpmstate|unused)\d+|name")


class DrillFailed(Exception):
    """The backup did not come back as a VM that is well; says why."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One drill: the VM that is made of a backup. `upid` is the restore's task, once it is known.

    `at` is an ISO moment; `store` and `at` are its mark in the VM's description.
    """

    cluster: str
    node: str
    vmid: int
    volume: str
    key: str
    store: str
    at: str
    upid: str = ""

    @property
    def mark(self) -> str:
        return f"reconcile: restore drill store={self.store} at={self.at}; it may be removed"


def open_trial(store: Store) -> Trial | None:
    """The drill that was begun and is not tidied up; None without one."""
    found = store.settings.get(SETTING)
    return Trial(**found) if isinstance(found, dict) else None  # type: ignore[arg-type]


def keep(store: Store, trial: Trial | None) -> None:
    plain: dict[str, Json] | None = asdict(trial) if trial else None
    store.settings.put(SETTING, plain)


@dataclass(slots=True)
class Drill:
    """Carries one out; `within` are seconds for the boot, `tell` hears of each step."""

    api: Api
    store: Store
    clock: Clock
    trial: Trial
    within: float = 300.0
    pool: str | None = None
    storage: str | None = None
    tell: Callable[[str], None] = lambda line: None

    def run(self) -> str:
        """Return why the backup is no good, empty when it is well. Nothing is left behind.

        Raises DrillFailed where something is, which the job backup_status removes later.
        """
        problem = ""
        keep(self.store, self.trial)
        try:
            config = self._restored()
            self._booted(config)
        except KeyboardInterrupt:
            problem = "it was interrupted"
        except (ApiError, DrillFailed) as error:
            problem = str(error)
        self._tidied()
        return problem

    @property
    def path(self) -> str:
        return f"/nodes/{self.trial.node}/qemu/{self.trial.vmid}"

    def _restored(self) -> str:
        """Put the backup back under a vmid of its own; return its config's text."""
        trial = self.trial
        asked = {"volume": trial.volume}
        config = str(self.api.get(f"/nodes/{trial.node}/vzdump/extractconfig", asked) or "")
        params = self._params(config)
        self.tell(f"{trial.volume} is restored as vm {trial.vmid} on {trial.node}")
        answer = self.api.send(Call(Method.POST, f"/nodes/{trial.node}/qemu", params), heavy=True)
        self.trial = replace(trial, upid=str(answer))
        keep(self.store, self.trial)
        self._ended(answer)
        devices = sorted(set(_FOREIGN.findall(_current(config))))
        if devices:
            call = Call(Method.PUT, f"{self.path}/config", {"delete": ",".join(devices)})
            self.api.send(call)
        return config

    def _params(self, config: str) -> dict[str, Param]:
        params: dict[str, Param] = {
            "vmid": self.trial.vmid,
            "archive": self.trial.volume,
            "unique": True,
            "name": f"drill-{self.trial.vmid}",
            "description": self.trial.mark,
            "tags": TAG,
            "onboot": False,
            "protection": False,
            **unplugged(_current(config)),
        }
        named = {"pool": self.pool, "storage": self.storage}
        return params | {name: value for name, value in named.items() if value}

    def _booted(self, config: str) -> None:
        """Start it, and wait until its agent answers; without one, until it has run for a while."""
        self.tell("it is started")
        self._ended(self.api.send(Call(Method.POST, f"{self.path}/status/start"), heavy=True))
        began = self.clock.now()
        agent = re.search(r"^agent: (?:enabled=)?1", _current(config), re.M) is not None
        while not self._is_well(agent, began):
            if (self.clock.now() - began).total_seconds() >= self.within:
                raise DrillFailed(f"its agent did not answer within {self.within:.0f} s")
            self.clock.sleep(PAUSE)
        self.tell("it is well")

    def _is_well(self, agent: bool, began: datetime) -> bool:
        status = self.api.get(f"{self.path}/status/current")
        if not isinstance(status, dict) or status.get("status") != "running":
            raise DrillFailed("it was started, and does not run")
        if not agent:
            return (self.clock.now() - began).total_seconds() >= min(STEADY, self.within)
        try:
            self.api.send(Call(Method.POST, f"{self.path}/agent/ping"))
        except ApiError:
            return False
        return True

    def _ended(self, upid: Json) -> None:
        """Wait for a task; raises DrillFailed with its words."""
        while (end := task_status(self.api, str(upid))) is None:
            self.clock.sleep(PAUSE)
        if not end.ok:
            raise DrillFailed(end.text)

    def _tidied(self) -> None:
        """Remove what was made; raises DrillFailed where that takes too long."""
        until = self.clock.now() + timedelta(seconds=TIDY)
        while left := tidy(self.api, self.store, self.trial, self.clock.now()):
            if self.clock.now() >= until:
                raise DrillFailed(f"vm {self.trial.vmid}: {left}; the job backup_status goes on")
            self.clock.sleep(PAUSE)
        self.tell("it is removed")


def tidy(api: Api, store: Store, trial: Trial, at: datetime) -> str:
    """Make one step to remove a drill's VM; return what is waited for, empty when it is gone.

    A VM that does not bear the drill's mark is not touched, unless our own restore left it bare.
    Raises ApiError.
    """
    path = f"/nodes/{trial.node}/qemu/{trial.vmid}"
    tasks = _tasks(api, trial)
    if any(text(one, "status") in (None, "RUNNING") for one in tasks):
        return "a task of it runs"
    sent = bool(trial.upid) or any(text(one, "type") == "qmrestore" for one in tasks)
    try:
        config = api.get(f"{path}/config", {"current": True})
    except NotFound:
        if not sent and at - datetime.fromisoformat(trial.at) < UNHEARD:
            return "its restore may yet begin"
        keep(store, None)
        return ""
    assert isinstance(config, dict)
    if not _is_ours(config, trial, sent):
        keep(store, None)
        return ""
    if text(config, "lock") and text(config, "lock") != "create":
        return f"Proxmox holds the lock {text(config, 'lock')}"
    status = api.get(f"{path}/status/current")
    if isinstance(status, dict) and status.get("status") != "stopped":
        api.send(Call(Method.POST, f"{path}/status/stop"), heavy=True)
        return "it is being stopped"
    params: dict[str, Param] = {"purge": True, "destroy-unreferenced-disks": False}
    api.send(Call(Method.DELETE, path, params), heavy=True)
    return "it is being removed"


def _tasks(api: Api, trial: Trial) -> list[Row]:
    """The tasks on its vmid since the drill began."""
    since = int(datetime.fromisoformat(trial.at).timestamp()) - 5
    asked: dict[str, Param] = {"vmid": trial.vmid, "source": "all", "since": since}
    return rows(api.get(f"/nodes/{quote_segment(trial.node)}/tasks", asked))


def _is_ours(config: Row, trial: Trial, sent: bool) -> bool:
    """Whether the VM is the drill's: by its mark, or as what our failed restore left behind."""
    if trial.mark in (text(config, "description") or ""):
        return True
    return sent and not any(_DISK.fullmatch(key) for key in config)


def unplugged(config: str) -> Mapping[str, Param]:
    """Each nic of a config with a MAC of its own to be drawn, no cable, no firewall."""
    found: dict[str, Param] = {}
    for name, value in _NIC.findall(config):
        model, *rest = value.split(",")
        kept = [one for one in rest if one.partition("=")[0] in ("bridge", "tag", "mtu")]
        found[name] = ",".join((model.partition("=")[0], *kept, "link_down=1"))
    return found


def _current(config: str) -> str:
    """The main section of a config, without those of its snapshots."""
    return re.split(r"^\[", config, maxsplit=1, flags=re.M)[0]
