"""The ways to send that this machine has; what the hub promises, it promises with each."""

from __future__ import annotations

from ticker.fanout.calls import Calls
from ticker.fanout.ring import Ring
from ticker.fanout.sender import Sender, open_sender

SENDERS: list[type[Sender]] = [Calls, Ring] if isinstance(open_sender(), Ring) else [Calls]
