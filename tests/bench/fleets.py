"""Fleets of any size, as the files that a person would write."""

from pathlib import Path

FIRST_VMID = 20000
"""Ours begin here, clear of the simulated cluster's templates."""

SIMULATED = "{{simulated: {{nodes: 3}}, first_vmid: {first}}}"
SERVED = (
    "{{endpoints: ['{url}'], token: {{id: 'reconcile@pve!fleet', secret: 'env:BENCH_TOKEN'}}, "
    "tls: {{fingerprints: ['{fingerprint}']}}, first_vmid: {first}}}"
)
FLEET = """\
fleet: bench
clusters:
  demo: {cluster}
database: {database}
verify_every: 365d
defaults: {{cluster: demo, template: debian-12, storage: local-lvm, domain: example.net}}
templates: {{debian-12: {{demo: [9000, 9001, 9002]}}}}
limits: {{connections: 32, per_node: 16, clones_per_storage: 64, clones_per_template: 64}}
"""
POOLS = """\
public-v4: {bridge: vmbr0, vlan: 100, network: 10.64.0.0/12, gateway: 10.64.0.1}
public-v6: {bridge: vmbr0, vlan: 100, network: 2001:db8:100::/64, gateway: 2001:db8:100::1}
"""
PACKAGES = """\
small:
  cpu: {cores: 1}
  memory: 1GiB
  disks:
    system: {size: 10GiB, iops_rd: 1000, iops_wr: 500, mbps_rd: 100, mbps_wr: 100}
  nics:
    net0: {rate: 12.5MB/s, firewall: true, ipv4: {pool: public-v4}, ipv6: {pool: public-v6}}
  firewall:
    policy_in: DROP
    anti_spoofing: true
    rules:
      - {in: ACCEPT, proto: tcp, dport: 22, comment: ssh}
      - {in: ACCEPT, proto: icmp}
      - {in: ACCEPT, proto: ipv6-icmp}
  cloudinit:
    user: ops
    password: generate
    keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWl ops@example
    dns: [203.0.113.1]
    search: example.net
  agent: true
  onboot: true
"""
PER_FILE = 10


def keys(count: int) -> list[str]:
    """The keys of a fleet; a smaller one's are the first of a larger one's."""
    return [f"web-{number:05}" for number in range(count)]


def write_fleet(folder: Path, count: int, cluster: str, database: Path) -> Path:
    """Write a fleet of `count` VMs in place of what was there; return its folder."""
    fleet = folder / "fleet"
    for part in ("packages", "pools", "vms"):
        (fleet / part).mkdir(parents=True, exist_ok=True)
    for old in (fleet / "vms").iterdir():
        old.unlink()
    (fleet / "fleet.yaml").write_text(FLEET.format(cluster=cluster, database=database))
    (fleet / "pools" / "public.yaml").write_text(POOLS)
    (fleet / "packages" / "small.yaml").write_text(PACKAGES)
    every = keys(count)
    for start in range(0, count, PER_FILE):
        lines = [f"{key}: {{package: small, tags: [web]}}\n" for key in every[start:][:PER_FILE]]
        (fleet / "vms" / f"web-{start:05}.yaml").write_text("".join(lines))
    return fleet


def simulated() -> str:
    return SIMULATED.format(first=FIRST_VMID)


def served(url: str, fingerprint: str) -> str:
    """The cluster entry of a simulator that somebody else started."""
    return SERVED.format(url=url, fingerprint=fingerprint, first=FIRST_VMID)
