"""What the connections of a node share: its readers, the queue for the others, and how many there may be."""

from __future__ import annotations

from ticker.errors import Busy
from ticker.http.head import Head
from ticker.readers.admission import Wanted
from ticker.readers.live import Live
from ticker.serving.connections import Connections
from ticker.serving.dozing import Dozing
from ticker.serving.turns import Turns

KEEP_ALIVE = 20.0  # seconds a connection may be idle between two requests
CHECKS_MAX = 1_024  # readers who wait until this node knows what they have seen; beyond, they come back later


class Entrance:
    """`keep_alive` is in seconds."""

    def __init__(self, live: Live, *, keep_alive: float = KEEP_ALIVE) -> None:
        self.live = live
        self.keep_alive = keep_alive
        self.connections = Connections(live.room.connections)
        self.dozing = Dozing()
        self.turns = Turns()
        self.checking = 0  # readers who wait until this node knows what they have seen

    def wanted(self, head: Head) -> Wanted:
        """What a reader asks for. Raises TickerError if it can't have it."""
        return self.live.admit(head.query, head.named.get(b"last-event-id", b"").decode("latin-1"))

    def must_wait(self, wanted: Wanted) -> bool:
        """Whether this node has yet to learn what the reader has seen. Raises Busy if too many wait for that."""
        if self.live.is_caught_up(wanted):
            return False
        if self.checking >= min(CHECKS_MAX, self.connections.most // 2):
            raise Busy("Too many readers come at once. Come back in a moment.")
        return True
