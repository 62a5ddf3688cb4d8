"""Options of the VM as a whole: name, description, boot order, agent, host boot, protection."""

from collections.abc import Iterable, Iterator

from desired.spec import Startup, VMSpec
from handlers.effects import stop_start, wanted
from handlers.handler import Subject, config_change, send_calls
from handlers.marker import with_marker, without_marker
from state.change import Change, Effect, Note, Param, Value
from state.conf import VMConfig
from state.observed import SeenVM
from state.propstring import parse, render

Option = tuple[str, Value, Value, dict[str, Param]]


class Options:
    """Sets what concerns the VM as a whole; the description keeps our marker as its last line.

        name: shop-1            # a live rename; the machine stays the same
        description: Shop front
        boot: [system, net0]
        agent: true
        onboot: true
        startup: {order: 2, up: 30}
        protection: true

    Owns `name`, `description`, `boot`, `bootdisk`, `agent`, `onboot`, `startup`, `protection`.
    Agent and boot order wait for a stop and start; the rest is live.

    Risk: `startup` asks for Sys.Modify on `/`; a wrong boot order shows at the next start only.
    """

    name = "options"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys = (
        "name",
        "description",
        "boot",
        "bootdisk",
        "agent",
        "onboot",
        "startup",
        "protection",
    )
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        config = wanted(seen)
        missing = [device for device in _boot(spec, config) if not _there(device, spec, config)]
        for device in missing:
            reason = f"boot names {device}, which is not there"
            yield Note(seen.key, self.name, "boot", reason, "BootDeviceMissing", blocking=True)
        for field, old, new, params in _compared(spec, seen, config):
            if old == new or (field == "boot" and missing):
                continue
            effect = stop_start(seen) if field in ("agent", "boot") else Effect.LIVE
            yield config_change(
                seen, self.name, field, old=old, new=new, params=params, effect=effect
            )


def _compared(spec: VMSpec, seen: SeenVM, config: VMConfig) -> Iterator[Option]:
    yield "name", config.name, spec.name, {"name": spec.name}
    own = without_marker(config.description if spec.description is None else spec.description)
    text = with_marker(own, seen)
    yield "description", config.description or None, text, {"description": text}
    if spec.boot is not None:
        yield _boot_order(spec, config)
    if spec.agent is not None:
        fields = parse(config.text("agent") or "", "enabled")
        agent = render({**fields, "enabled": str(int(spec.agent))}, "enabled")
        yield "agent", config.agent, spec.agent, {"agent": agent}
    for key in ("onboot", "protection"):
        asked: bool | None = getattr(spec, key)
        if asked is not None:
            yield key, config.boolean(key, False), asked, {key: asked}
    if spec.startup is not None:
        yield _startup(spec.startup, config)


def _boot_order(spec: VMSpec, config: VMConfig) -> Option:
    order = _boot(spec, config)
    params: dict[str, Param] = {"boot": f"order={';'.join(order)}"} if order else {"delete": "boot"}
    return "boot", config.boot_order or None, order or None, params


def _startup(startup: Startup, config: VMConfig) -> Option:
    asked = (startup.order, startup.up, startup.down)
    both = zip(asked, config.startup, strict=True)
    merged = tuple(seen if new is None else new for new, seen in both)
    params: dict[str, Param] = {"startup": _startup_text(merged) or ""}
    return "startup", _startup_text(config.startup), _startup_text(merged), params


def _startup_text(values: tuple[int | None, ...]) -> str | None:
    named = zip(("order", "up", "down"), values, strict=True)
    return ",".join(f"{name}={value}" for name, value in named if value is not None) or None


def _boot(spec: VMSpec, config: VMConfig) -> tuple[str, ...]:
    """The boot order by slot; `system` stands for the boot disk."""
    names = spec.boot or ()
    return tuple((config.boot_disk or name) if name == "system" else name for name in names)


def _there(device: str, spec: VMSpec, config: VMConfig) -> bool:
    """Whether Proxmox will accept the device: it is there, or a NIC that this plan adds."""
    return device in config.drives or device in config.nics or device in spec.nics
