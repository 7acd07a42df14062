"""The [live] section of a config: where the venues are, how the log is kept, and how long silence is borne.

A file of its own because it is a noun of its own.  Nothing in it decides what a strategy does, so it may change
between a crash and the start after it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pinnacle.limits import DEAD_MAN_NS, JOURNAL_BYTES_MAX


class VenueAddress(msgspec.Struct, forbid_unknown_fields=True):
    """Where a venue is instead of its public hosts: websocket ("wss://host:port") and rest ("https://host:port").
    tier: of the account, where the venue's limits depend on it (kraken: starter, intermediate or pro); "" for the
    lowest."""

    websocket: str = ""
    rest: str = ""
    tier: str = ""


class Live(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How a session is connected and kept.

    fsync: when the log is forced to the disk: "batch" after each append, "interval" every fsync_ms in the background,
    "never" when the system likes.  A crash of the process loses nothing in any of them; a power cut loses nothing,
    up to fsync_ms, or some thirty seconds.
    rotate_mb, rotate_s: a journal that is larger or older is sealed and the next one begun.
    depth: levels a side to subscribe to (0: all).  silence_ms: a connection from which nothing came for so long is half
    open (0: as the venue's file has it).  tape: keep the raw bytes too.  disk_free_mb: with less, the session ends.
    ca_file: a certificate authority to trust besides the system's.  proxy: http://HOST:PORT.
    venues: addresses by venue, for a local exchange; and the account's tier.
    notional_max: by venue, the most quote currency that we may come to hold, long or short, if all open orders of one
    side are filled; real orders need it.
    dead_man_s: after so long without us a venue that has a dead-man's switch cancels every order of the account, other
    people's too (0: its switch is not used).
    loss_max: of one instrument, in its quote currency; more stops trading for good ("": never).  stale_s_max: a book
    that is lost for longer stops trading for good (0: never).  Both are for real orders.
    """

    fsync: Literal["batch", "interval", "never"] = "interval"
    fsync_ms: Annotated[float, Meta(ge=1, le=1e6)] = 1000
    rotate_mb: Annotated[int, Meta(ge=1, le=JOURNAL_BYTES_MAX >> 20)] = JOURNAL_BYTES_MAX >> 20
    rotate_s: Annotated[float, Meta(ge=1, le=1e9)] = 3600
    depth: Annotated[int, Meta(ge=0, le=100_000)] = 0
    silence_ms: Annotated[float, Meta(ge=0, le=1e9)] = 0
    tape: bool = False
    disk_free_mb: Annotated[int, Meta(ge=0, le=1 << 40)] = 256
    ca_file: str = ""
    proxy: str = ""
    venues: dict[str, VenueAddress] = {}
    notional_max: dict[str, str | int | float] = {}
    dead_man_s: Annotated[float, Meta(ge=0, le=86_399)] = DEAD_MAN_NS / 1e9
    loss_max: str | int | float = ""
    stale_s_max: Annotated[float, Meta(ge=0, le=1e9)] = 0
