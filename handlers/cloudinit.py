"""What cloud-init tells the guest: addresses, name servers, user, password, keys."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from desired.cloudinit import CloudInit
from desired.hardware import Family
from desired.spec import VMSpec
from handlers.addresses import (
    FAMILIES,
    FamilyName,
    family_of,
    gateway_nic,
    gateway_of,
    leases_of,
    same_address,
)
from handlers.effects import next_boot, wanted
from handlers.handler import Subject, config_change, send_calls, vm_path
from handlers.slots import in_order, number
from state.change import Call, Change, Method, Note, Param, Value
from state.conf import VMConfig, encode_ssh_keys
from state.memory import Phase
from state.net import IpConfig
from state.observed import SeenVM
from state.propstring import parse, render

SNIPPETS = "snippets"
"""The use under which the checksums of the drive's snippets are remembered."""

Pair = tuple[str | None, str | None]


class Cloudinit:
    """Pushes addresses, gateway, DNS, user, password and keys (CI-01); the name is the host name.

        cloudinit: {user: admin, password: generate, keys: [ssh-ed25519 AAAA…], search: example.net}
        cloudinit: {type: configdrive2, custom: {user: {volume: local:snippets/w.yaml, sha256: …}}}
        nics:
          net0: {ipv4: {pool: public-v4}, ipv6: auto}
          net1: {ipv4: {static: 10.0.0.7/24}}

    Owns `ciuser`, `cipassword`, `sshkeys`, `ipconfigN`, `nameserver`, `searchdomain`,
    `ciupgrade`, `citype`, `cicustom`. Only the first address of a nic and family is configured; the
    guest must configure the others (IP-08). A running guest reads it at its next boot: the drive is
    rebuilt by every start. Only for a snippet with a new checksum it is rebuilt here: the content
    can be neither sent nor read through the API, so that it is there is taken on trust. Written
    only where it differs, for any change makes the guest run its first-boot modules again.

    Risk: those modules renew host keys and passwords at the next boot.
    """

    name = "cloudinit"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys = (
        "ciuser",
        "cipassword",
        "sshkeys",
        r"ipconfig\d+",
        "nameserver",
        "searchdomain",
        "ciupgrade",
        "citype",
        "cicustom",
    )
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        config = wanted(seen)
        for slot in in_order(spec.nics):
            yield from self._addresses(spec, seen, slot)
        yield from self._name_servers(spec, seen, config)
        cloudinit = spec.cloudinit
        if cloudinit is None:
            return
        if cloudinit.user is not None:
            yield from self._user(cloudinit.user, seen)
        if cloudinit.password is not None:
            yield from self._password(seen)
        for field, key, old, new, param in _compared(cloudinit, config):
            if old != new:
                params: dict[str, Param] = {key: param} if new else {"delete": key}
                yield self._change(seen, field, old or None, new or None, params)
        if cloudinit.upgrade is not None and cloudinit.upgrade != config.boolean("ciupgrade", True):
            yield self._change(
                seen,
                "upgrade",
                not cloudinit.upgrade,
                cloudinit.upgrade,
                {"ciupgrade": cloudinit.upgrade},
            )
        if cloudinit.custom is not None and cloudinit.custom.checksums:
            yield from self._contents(cloudinit.custom.checksums, seen)

    def _contents(self, checksums: str, seen: SeenVM) -> Iterator[Change | Note]:
        """Rebuild the drive once for each new content that the spec says a snippet has."""
        old = seen.memory.fingerprints.get(SNIPPETS)
        if old == checksums:
            return
        field, call = "custom.content", Call(Method.PUT, f"{vm_path(seen)}/cloudinit")
        was, now = _short(old or "") or None, _short(checksums)
        effect, kept = next_boot(seen), ((SNIPPETS, checksums),)
        yield Change(seen.key, self.name, field, was, now, (call,), effect, remember=kept)
        reason = "Proxmox shows no snippet's content: it is taken for what sha256 says"
        yield Note(seen.key, self.name, field, reason, "SnippetUnverified")

    def _addresses(self, spec: VMSpec, seen: SeenVM, slot: str) -> Iterator[Change | Note]:
        index = number(slot)
        old = wanted(seen).ipconfigs.get(index, IpConfig())
        pairs: dict[FamilyName, Pair] = {"ipv4": (old.ip, old.gw), "ipv6": (old.ip6, old.gw6)}
        for name in FAMILIES:
            family = family_of(spec.nics[slot], name)
            if family is None:
                continue
            if family.mode == "pool" and family.count and not leases_of(seen, slot, name):
                reason = f"no {name} address is leased to {slot} yet"
                yield self._blocked(seen, f"ipconfig{index}", reason, "AddressMissing")
                continue
            pairs[name] = _address(spec, seen, slot, name, family)
        new = IpConfig(*pairs["ipv4"], *pairs["ipv6"])
        if not _same(old, new):
            key, text = f"ipconfig{index}", new.render()
            params: dict[str, Param] = {key: text} if text else {"delete": key}
            yield self._change(seen, key, old.render() or None, text or None, params)

    def _name_servers(self, spec: VMSpec, seen: SeenVM, config: VMConfig) -> Iterator[Change]:
        """The spec's, else those of the pools of the first addresses (IP-07)."""
        asked = spec.cloudinit.dns if spec.cloudinit else None
        new = list(map(str, asked)) if asked is not None else _pool_servers(spec, seen)
        old = (config.text("nameserver") or "").replace(",", " ").split()
        pairs = zip(old, new, strict=False)
        if len(old) == len(new) and all(same_address(*pair) for pair in pairs):
            return
        if new or asked is not None:
            text = " ".join(new)
            params: dict[str, Param] = {"nameserver": text} if new else {"delete": "nameserver"}
            yield self._change(seen, "dns", " ".join(old) or None, text or None, params)

    def _user(self, user: str, seen: SeenVM) -> Iterator[Change | Note]:
        if user == "random":
            drawn = seen.secrets.get("user")
            if drawn is None:
                yield self._blocked(seen, "user", "no user name was drawn yet", "SecretMissing")
                return
            user = drawn.reveal()
        old = wanted(seen).text("ciuser") or None
        if old != user:
            yield self._change(seen, "user", old, user, {"ciuser": user})

    def _password(self, seen: SeenVM) -> Iterator[Change | Note]:
        """Compare fingerprints: Proxmox shows only asterisks."""
        prints, secret = seen.memory.fingerprints, seen.secrets.get("password")
        last, asked = prints.get("password"), prints.get("password.wanted")
        there = wanted(seen).text("cipassword") is not None
        if there and last is not None and last == asked:
            return
        unsure = "write:password" in seen.memory.intents
        started = seen.memory.binding is not None and seen.memory.binding.phase is not Phase.DEPLOY
        if there and last is None and started and not unsure:
            reason = "a password is set that we did not write: reset it to make it ours"
            yield Note(seen.key, self.name, "password", reason, "CredentialUnverified")
        elif secret is None or asked is None:
            yield self._blocked(seen, "password", "the secret is not at hand", "SecretMissing")
        else:
            old = "another" if there else None
            change = self._change(seen, "password", old, secret, {"cipassword": secret})
            yield replace(change, remember=(("password", asked),))

    def _change(
        self, seen: SeenVM, field: str, old: Value, new: Value, params: dict[str, Param]
    ) -> Change:
        return config_change(
            seen, self.name, field, old=old, new=new, params=params, effect=next_boot(seen)
        )

    def _blocked(self, seen: SeenVM, field: str, reason: str, condition: str) -> Note:
        return Note(seen.key, self.name, field, reason, condition, blocking=True)


def _short(checksums: str) -> str:
    """As much of each checksum as tells one from another: `user=3f9a60c1d2e4`."""
    return re.sub(r"=([0-9a-f]{12})[0-9a-f]+", r"=\1", checksums)


def _address(spec: VMSpec, seen: SeenVM, slot: str, name: FamilyName, family: Family) -> Pair:
    """Return (address, gateway) of one nic and family; nothing for `none` and a count of 0."""
    if family.mode in ("dhcp", "auto"):
        return family.mode, None
    gateway = gateway_of(spec, seen, slot, name) if gateway_nic(spec, seen, name) == slot else None
    if family.mode == "static" and family.static is not None:
        return str(family.static), gateway
    leases = leases_of(seen, slot, name) if family.mode == "pool" and family.count else []
    return (f"{leases[0].address}/{leases[0].prefix}", gateway) if leases else (None, None)


def _same(old: IpConfig, new: IpConfig) -> bool:
    pairs = ((old.ip, new.ip), (old.gw, new.gw), (old.ip6, new.ip6), (old.gw6, new.gw6))
    return all(same_address(one, other) for one, other in pairs)


def _pool_servers(spec: VMSpec, seen: SeenVM) -> list[str]:
    found: dict[str, None] = {}
    for slot in in_order(spec.nics):
        for name in FAMILIES:
            family = family_of(spec.nics[slot], name)
            if family is not None and family.mode == "pool":
                for lease in leases_of(seen, slot, name)[:1]:
                    found |= dict.fromkeys(lease.dns)
    return list(found)


def _compared(
    cloudinit: CloudInit, config: VMConfig
) -> Iterator[tuple[str, str, Value, Value, Param]]:
    """Yield (field, key, seen, wanted, parameter) of the plain ones."""
    if cloudinit.keys is not None:
        keys = tuple(key.strip() for key in cloudinit.keys)
        yield "keys", "sshkeys", config.ssh_keys, keys, encode_ssh_keys(keys)
    if cloudinit.search is not None:
        search = cloudinit.search
        yield "search", "searchdomain", config.text("searchdomain") or "", search, search
    if cloudinit.type is not None:
        yield "type", "citype", config.text("citype") or "", cloudinit.type, cloudinit.type
    if cloudinit.custom is not None:
        fields = parse(config.text("cicustom") or "")
        asked = {**fields, **cloudinit.custom.volumes}
        text = render({kind: volume for kind, volume in asked.items() if volume != "none"})
        yield "custom", "cicustom", render(fields), text, text
