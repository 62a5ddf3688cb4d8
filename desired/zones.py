"""DNS zones as a person writes them: which provider holds each, and which records it takes."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from desired.cloudinit import SecretReference
from desired.hostnames import dotless
from desired.model import Bool, Float, Int, Model
from desired.syntax import bad_host

HTTP = r"^https?://[^\s/@]+(/[^\s@]*)?$"
KEY_ALGORITHMS = Literal[
    "hmac-md5",
    "hmac-sha1",
    "hmac-sha224",
    "hmac-sha256",
    "hmac-sha256-128",
    "hmac-sha384",
    "hmac-sha384-192",
    "hmac-sha512",
    "hmac-sha512-256",
]
Provider = Literal["rfc2136", "powerdns", "cloudflare", "hestiacp", "octodns"]
PROVIDERS: tuple[Provider, ...] = ("rfc2136", "powerdns", "cloudflare", "hestiacp", "octodns")
Takes = Literal["A", "AAAA", "PTR", "CNAME"]


ZONE_HIDDEN = frozenset({"label"})
"""Fields of a zone that nobody writes: `label` is what stands behind the @ of its key."""


class TsigKey(Model):
    """A shared key of RFC 8945: its name, algorithm and base64 secret, by reference."""

    name: str = Field(min_length=1, max_length=253)
    algorithm: KEY_ALGORITHMS = "hmac-sha256"
    secret: SecretReference


class Rfc2136(Model):
    """A name server that takes dynamic updates (BIND, Knot, PowerDNS, Windows): RFC 2136."""

    server: str = Field(min_length=1, description="its address or host name")
    port: Int = Field(53, ge=1, le=65535)
    key: TsigKey | None = Field(None, description="None: the server goes by our address alone")
    timeout: Float = Field(10, ge=1, le=300, description="seconds for one question")


class PowerDns(Model):
    """PowerDNS by its HTTP API (`api=yes`)."""

    url: str = Field(pattern=HTTP, description="such as http://127.0.0.1:8081")
    api_key: SecretReference
    server_id: str = Field("localhost", pattern=r"^[^\s/]+$")
    ca: str | None = Field(None, description="file with the CA that signed its certificate")
    timeout: Float = Field(10, ge=1, le=300)


class Cloudflare(Model):
    """Cloudflare's API v4; the zone is found by its name unless `zone_id` names it."""

    token: SecretReference
    account_id: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    zone_id: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    url: str = Field("https://api.cloudflare.com/client/v4", pattern=HTTP)
    ca: str | None = None
    timeout: Float = Field(30, ge=1, le=300)


class HestiaCp(Model):
    """HestiaCP's command interface over HTTPS; `owner` is the user whose zone it is."""

    url: str = Field(pattern=HTTP)
    user: str = Field("admin", min_length=1)
    password: SecretReference
    owner: str = Field(min_length=1)
    ca: str | None = None
    timeout: Float = Field(30, ge=1, le=300)


class OctoDns(Model):
    """Any provider class of octoDNS, given its own options; needs the extra `octodns`."""

    provider: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$", description="its class")
    options: dict[str, str | Int | Float | Bool] = Field(default_factory=dict)
    secrets: dict[str, SecretReference] = Field(
        default_factory=dict, description="options whose values are secrets"
    )


def _zone_name(value: object) -> object:
    if not isinstance(value, str):
        return value
    name = dotless(value)
    wrong = zone_wrong(name)
    if wrong:
        raise ValueError(f"{wrong}, seen {value!r}")
    return name


ZoneName = Annotated[str, BeforeValidator(_zone_name)]


class ZoneSpec(Model):
    """One zone on one provider: exactly one of the provider sections says where it is.

    The key is the zone's name, or `NAME@LABEL` where several providers hold it (DNS-03).
    """

    name: ZoneName = Field("", description="without it: the key, up to its @")
    ttl: Int = Field(300, ge=1, le=2_147_483_647, description="seconds, of every record of ours")
    takes: tuple[Takes, ...] | None = Field(
        None, description="the types that we keep in it; None: all that belong there"
    )
    rfc2136: Rfc2136 | None = None
    powerdns: PowerDns | None = None
    cloudflare: Cloudflare | None = None
    hestiacp: HestiaCp | None = None
    octodns: OctoDns | None = None
    label: str = ""

    @property
    def provider(self) -> Provider:
        """Who holds the zone."""
        return next(name for name in PROVIDERS if getattr(self, name) is not None)

    @property
    def server(self) -> tuple[str, str]:
        """The provider, and which of its servers: zones with the same one are held together."""
        if self.rfc2136:
            return "rfc2136", f"{self.rfc2136.server}:{self.rfc2136.port}"
        if self.octodns:
            return "octodns", self.octodns.provider
        reached = self.powerdns or self.cloudflare or self.hestiacp
        return self.provider, reached.url if reached else ""

    @property
    def id(self) -> str:
        """`NAME@PROVIDER`, or `NAME@LABEL`: no two zones of a fleet have one."""
        return f"{self.name}@{self.label or self.provider}"

    @property
    def reverse(self) -> bool:
        """Whether it holds PTR records: purely by its name (DNS-02)."""
        return is_reverse(self.name)

    @property
    def types(self) -> frozenset[str]:
        """The types of record that we keep in it."""
        natural = ("PTR", "CNAME") if self.reverse else ("A", "AAAA", "CNAME")
        return frozenset(natural if self.takes is None else self.takes)

    @model_validator(mode="after")
    def _one_provider(self) -> "ZoneSpec":
        named = [name for name in PROVIDERS if getattr(self, name) is not None]
        if len(named) != 1:
            seen = " and ".join(named) or "none"
            raise ValueError(f"expected one of {', '.join(PROVIDERS)}, seen {seen}")
        return self


def is_reverse(name: str) -> bool:
    """Whether a zone or record name lies below in-addr.arpa or ip6.arpa."""
    return name.endswith((".in-addr.arpa", ".ip6.arpa"))


def zone_wrong(name: str) -> str | None:
    """Say what is wrong with a zone's name, if anything; labels of RFC 2317 are fine in reverse."""
    expected = "expected a zone's name such as example.net or 2.0.192.in-addr.arpa"
    if is_reverse(name):
        labels = name.split(".")[:-2]
        sound = all(label and all(c.isalnum() or c in "-/_" for c in label) for label in labels)
        return None if sound and len(name) <= 253 else expected
    return expected if bad_host(name) or name.rpartition(".")[2].isdigit() else None


def rdns_hint(network: IPv4Network | IPv6Network) -> str:
    """Name the reverse zone of a network, or say that it has none of its own (DNS-12)."""
    step, whole = (8, 24) if network.version == 4 else (4, 128)
    bits = network.prefixlen
    if bits == 0 or bits % step or bits > whole:
        return "classless delegation required"
    labels = network.network_address.reverse_pointer.split(".")
    return ".".join(labels[-(bits // step) - 2 :])
