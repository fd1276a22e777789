"""The ways to send that this machine has; what the hub promises, it promises with each."""

from __future__ import annotations

from ticker.fanout.sending import Calls, Ring, Sender, open_sender

SENDERS: list[type[Sender]] = [Calls, Ring] if isinstance(open_sender(), Ring) else [Calls]
