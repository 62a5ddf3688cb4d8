"""The firewall part of a spec: options, policies and the VM's own rules (FW-01, FW-04)."""

from typing import Literal

from pydantic import Field, model_validator

from desired.model import Bool, Model

GROUP = r"^[A-Za-z][A-Za-z0-9_-]+$"
IFACE = r"^net([0-9]|[12][0-9]|3[01])$"
Policy = Literal["ACCEPT", "DROP", "REJECT"]
LogLevel = Literal["nolog", "info", "notice", "warning"]


class Rule(Model):
    """One rule: `{in: ACCEPT, proto: tcp, dport: 22}`, or a security group `{group: web}`.

    Exactly one of `in`, `out` and `group` says what it does; ports, addresses and names are
    written as Proxmox takes them.
    """

    in_: Policy | None = Field(None, alias="in")
    out: Policy | None = None
    group: str | None = Field(None, pattern=GROUP)
    macro: str | None = None
    proto: str | None = None
    source: str | None = None
    dest: str | None = None
    sport: str | None = None
    dport: str | None = None
    icmp_type: str | None = None
    iface: str | None = Field(None, pattern=IFACE)
    log: LogLevel | None = None
    comment: str | None = Field(None, max_length=100)
    enable: Bool = True

    @model_validator(mode="before")
    @classmethod
    def _ports_as_text(cls, value: object) -> object:
        if isinstance(value, dict):
            ports = ("sport", "dport")
            return {k: str(v) if k in ports and v is not None else v for k, v in value.items()}
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> "Rule":
        if sum(kind is not None for kind in (self.in_, self.out, self.group)) != 1:
            raise ValueError("expected exactly one of in, out and group")
        return self


class Firewall(Model):
    """Firewall of one VM; mentioned at all, its options have the defaults of FW-01."""

    enable: Bool = True
    dhcp: Bool = True
    ndp: Bool = True
    radv: Bool = False
    macfilter: Bool = True
    ipfilter: Bool = False
    anti_spoofing: Bool = True
    policy_in: Policy | None = None
    policy_out: Policy | None = None
    log_in: LogLevel = "nolog"
    log_out: LogLevel = "nolog"
    rules: tuple[Rule, ...] | None = None
