"""What a key is bound to, what it has, and what was begun for it."""

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from state.columns import Moment, PhaseText, Words
from state.tables.base import metadata

bindings = Table(
    "bindings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("cluster", Text, nullable=False),
    Column("vmid", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_template", Text, nullable=False),
    Column("uuid", Text),
    Column("phase", PhaseText, nullable=False),
    Column("template", Integer),
    Column("template_node", Text),
    Column("node", Text),
    Column("storage", Text),
    Column("clone", Text, nullable=False),
    Column("created_at", Moment),
    Column("ready_at", Moment),
    Column("image", Text),
    UniqueConstraint("cluster", "vmid"),
    CheckConstraint("vmid >= 100", name="vmid"),
    CheckConstraint("clone IN ('linked', 'full')", name="clone"),
)

forgotten = Table(
    "forgotten",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("vmid", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False, index=True),
    Column("at", Moment, nullable=False),
)

# An address goes back to its pool before its machine is forgotten, never with it: RESTRICT.
leases = Table(
    "leases",
    metadata,
    Column(
        "key",
        Text,
        ForeignKey("bindings.key", onupdate="CASCADE", ondelete="RESTRICT"),
        nullable=False,
    ),
    Column("nic", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("address", Text, primary_key=True),
    Column("prefix", Integer, nullable=False),
    Column("pool", Text, nullable=False),
    Column("gateway", Text),
    Column("dns", Words, nullable=False),
    UniqueConstraint("key", "nic", "family", "ordinal"),
    CheckConstraint("family IN ('ipv4', 'ipv6')", name="family"),
    CheckConstraint("ordinal >= 0", name="ordinal"),
    CheckConstraint("prefix BETWEEN 0 AND 128", name="prefix"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("upid", Text, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("cluster", Text, primary_key=True),
    Column("handler", Text, nullable=False),
    Column("started_at", Moment, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("handler", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("not_before", Moment, nullable=False),
)

intents = Table(
    "intents",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("looks", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("looked_at", Moment),
)

holds = Table(
    "holds",
    metadata,
    Column("key", Text, primary_key=True),
    Column("why", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("until", Moment),
)

placements = Table(
    "placements",
    metadata,
    Column("key", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("target", Text),
    Column("storages", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("choice", JSON(none_as_null=True)),
    Column("at", Moment, nullable=False),
)

applied = Table(
    "applied",
    metadata,
    Column("key", Text, primary_key=True),
    Column("document", Text, nullable=False),
    Column("at", Moment, nullable=False),
)
