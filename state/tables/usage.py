"""Traffic: the counters as they were last seen, and the bytes of each hour and month."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, Table, Text

from state.columns import Moment
from state.tables.base import metadata

# One row a cluster: ten thousand rows a tick would cost what one text does not.
meters = Table(
    "meters",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("document", Text, nullable=False),
)

usage_hours = Table(
    "usage_hours",
    metadata,
    Column("key", Text, primary_key=True),
    Column("nic", Text, primary_key=True),
    Column("hour", Moment, primary_key=True),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("spread", BigInteger, nullable=False),
    Column("repaired", BigInteger, nullable=False),
    CheckConstraint("bytes_in >= 0 AND bytes_out >= 0", name="bytes"),
    Index(None, "hour"),
)

# Times without a sample, until Proxmox's own history has told what it knows of them.
usage_gaps = Table(
    "usage_gaps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("cluster", Text, nullable=False),
    Column("vmid", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("lost", Boolean, nullable=False),
)

usage_months = Table(
    "usage_months",
    metadata,
    Column("key", Text, primary_key=True),
    Column("nic", Text, primary_key=True),
    Column("month", Text, primary_key=True),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("spread", BigInteger, nullable=False),
    Column("repaired", BigInteger, nullable=False),
    CheckConstraint("bytes_in >= 0 AND bytes_out >= 0", name="bytes"),
)
