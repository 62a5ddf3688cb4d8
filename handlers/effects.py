"""When a value takes effect on a running VM: Proxmox's hot-plug table (pve-api 5)."""

from state.change import Effect
from state.conf import VMConfig
from state.observed import SeenVM

DEFAULT_HOTPLUG = "network,disk,usb"


def wanted(seen: SeenVM) -> VMConfig:
    """The config with pending values laid over it: what every diff but power compares with."""
    if seen.config is None:
        raise LookupError(f"{seen.key}: its config was not read")
    return seen.config.wanted


def running(seen: SeenVM) -> bool:
    """Whether the VM has a process, be it paused, so that some values only become pending."""
    return seen.status not in ("stopped", "unknown")


def stop_start(seen: SeenVM) -> Effect:
    """A value that QEMU reads only when it is started."""
    return Effect.STOP_START if running(seen) else Effect.LIVE


def next_boot(seen: SeenVM) -> Effect:
    """A value that the guest reads at its next boot: cloud-init."""
    return Effect.NEXT_BOOT if running(seen) else Effect.LIVE


def plugged(seen: SeenVM, device: str) -> Effect:
    """A device that is (re)plugged at once where `hotplug` has its kind, else at the next start."""
    if not running(seen):
        return Effect.LIVE
    kinds = wanted(seen).text("hotplug") or DEFAULT_HOTPLUG
    kinds = DEFAULT_HOTPLUG if kinds == "1" else kinds
    return Effect.HOTPLUG if device in kinds.split(",") else Effect.STOP_START
