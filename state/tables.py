"""The store's tables. Columns stand in the order of the frozen value that a row becomes.

Whatever must never be false is a constraint here (design 4), so that no code can break it. A
change of this file needs a new revision in `migrations/versions` (a test compares the two).
"""

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from state.columns import Moment, PhaseText, Words

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)

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

fingerprints = Table(
    "fingerprints",
    metadata,
    Column("key", Text, primary_key=True),
    Column("use", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("key", Text, primary_key=True),
    Column("use", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("shown_at", Moment),
)

cache = Table(
    "cache",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("vmid", Integer, primary_key=True, autoincrement=False),
    Column("pending_json", Text, nullable=False),
    Column("firewall_json", Text),
    Column("digest", Text, nullable=False),
    Column("hints", Text, nullable=False),
    Column("read_at", Moment),
    Column("firewall_read_at", Moment),
    Column("dirty", Boolean, nullable=False),
    Column("dirty_reason", Text, nullable=False),
    Column("dirty_since", Moment),
    Column("settled", Text, nullable=False, server_default=""),
    CheckConstraint("dirty_since IS NOT NULL OR NOT dirty", name="dirty"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("command", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("dry", Boolean, nullable=False),
    Column("finished_at", Moment),
    Column("summary", JSON, nullable=False),
    Column("commit", Text, nullable=False, server_default=""),
)

vm_runs = Table(
    "vm_runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("state_before", Text, nullable=False),
    Column("state_after", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("run", Integer, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    UniqueConstraint("run", "key", "action"),
    CheckConstraint("result IN ('success', 'waiting', 'error')", name="result"),
    Index(None, "key", "id"),
)

steps = Table(
    "steps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column(
        "vm_run", Integer, ForeignKey("vm_runs.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("label", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("at", Moment, nullable=False),
    Column("detail", Text, nullable=False),
)

effects = Table(
    "effects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Index(None, "effect", "at"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("changes_json", Text, nullable=False),
    Column("until", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
)

approved = Table(
    "approved",
    metadata,
    Column("digest", Text, ForeignKey("approvals.digest", ondelete="CASCADE"), primary_key=True),
    Column("change", Text, primary_key=True),
    Column("used_at", Moment),
    Index(None, "change"),
)

conditions = Table(
    "conditions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("status", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("since", Moment, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("dedupe", Text, nullable=False, unique=True),
    Column("delivered_at", Moment),
    Index(None, "delivered_at"),
)

applied = Table(
    "applied",
    metadata,
    Column("key", Text, primary_key=True),
    Column("document", Text, nullable=False),
    Column("at", Moment, nullable=False),
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

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("edits", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("why", Text, nullable=False),
    Column("begun_at", Moment, nullable=False),
    Column("moved_at", Moment, nullable=False),
    Column("ended_at", Moment),
    CheckConstraint("state IN ('active', 'paused', 'aborted', 'done', 'superseded')", name="state"),
)

rollout_members = Table(
    "rollout_members",
    metadata,
    Column("rollout", Integer, ForeignKey("rollouts.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("state IN ('waiting', 'working', 'done', 'left')", name="state"),
)

traces = Table(
    "traces",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("cluster", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("vmid", Integer, nullable=False),
    Column("user", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index(None, "cluster", "vmid"),
    Index(None, "at"),
)

# What stands now, and every revision that ever stood; a delete is a revision without a document.
desired_vm = Table(
    "desired_vm",
    metadata,
    Column("name", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("document_json", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("revision >= 1", name="revision"),
)

desired_vm_history = Table(
    "desired_vm_history",
    metadata,
    Column("name", Text, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("document_json", Text),
    Column("author", Text, nullable=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("revision >= 1", name="revision"),
)
