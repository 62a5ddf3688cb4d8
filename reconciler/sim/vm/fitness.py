"""Whether a VM can start on its node, and whether it has a system that answers once it runs.

Source: qemu-server PVE/QemuServer.pm (vm_start_nolock, config_to_command), Memory.pm, USB.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.errors import failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import drives_of
from reconciler.sim.vm.hotplug import features_of
from reconciler.sim.vm.machine import Machine
from reconciler.sim.vm.update import hook_script_fault
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

MANY_PORTS = ("l26", "win8", "win10", "win11")
OLD_USB_PORTS = 5
STATIC_MEMORY = 1024


def refuse_start(world: World, machine: Machine) -> None:
    """Raise 500 with why QEMU's command line cannot be made, in Proxmox's order."""
    config = machine.config
    script = machine.text("hookscript")
    if script:
        fault = hook_script_fault(world, script)
        raise failed(f"hookscript error for {machine.vmid} on pre-start: {fault}\n")
    for key in sorted(config):
        old = key.startswith("usb") and int(key[3:]) >= OLD_USB_PORTS
        if old and machine.text("ostype") not in MANY_PORTS:
            text = "is only possible with machine type >= 7.1 and ostype l26 or windows > 7"
            raise failed(f"using {key} {text}\n")
    most = world.nodes[machine.node].cpus
    if machine.number("sockets", 1) * machine.number("cores", 1) > most:
        raise failed(f"MAX {most} vcpus allowed per VM on this node\n")
    if "memory" in features_of(machine):
        _refuse_memory(machine)


def _refuse_memory(machine: Machine) -> None:
    if not machine.number("numa", 0):
        raise failed("NUMA needs to be enabled for memory hotplug\n")
    if any(f"numa{index}" in machine.config for index in range(8)):
        raise failed("cannot enable memory hotplugging with custom NUMA topology\n")
    if options.memory_of(machine.config.get("memory")) < STATIC_MEMORY:
        raise failed(f"minimum memory must be {STATIC_MEMORY}MB\n")


def has_system(world: World, machine: Machine) -> bool:
    """Whether a disk holds anything: a VM of blank disks neither powers off when asked nor has
    an agent, which is what the recorded node's empty VMs do."""
    return any(
        not drive.is_cdrom and _holds_data(world, machine.node, drive.file)
        for drive in drives_of(machine.config)
    )


def _holds_data(world: World, node: str, volid: str) -> bool:
    volume = world.volume(node, volid)
    if volume is None:
        return False
    if volume.parent is not None:
        return _holds_data(world, node, volume.parent)
    return volume.used != storage.FRESH
