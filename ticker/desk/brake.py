"""The brake on guessing keys. Knows addresses and numbers; knows no key.

It stops only wrong attempts. A right key is accepted however many others guess, from the same address too (`Keyring`
ensures this): a brake that anybody can trigger must not stop an editor.
"""

from __future__ import annotations

from collections import OrderedDict

from ticker.desk.security_log import Address, SecurityLog, Window

BY_ADDRESS = 20  # wrong attempts a minute: a newsroom behind one address mistypes less often
IN_ALL = 100  # a minute: so many are looked up and logged, however many addresses an attacker has
ADDRESSES_MAX = 4_096  # counted at once; beyond, the one goes that was wrong longest ago


class Brake:
    """Counts wrong attempts by address and all together."""

    def __init__(self, log: SecurityLog) -> None:
        self._log = log
        self._all = self._window(int(IN_ALL), "all", None)
        self._by_address: OrderedDict[str, Window] = OrderedDict()

    def seconds_left(self, address: Address) -> int:
        """For how long wrong attempts from there are turned away; 0: the brake is off."""
        own = self._by_address.get(address.network)
        return max(self._all.seconds_left, own.seconds_left if own else 0)

    def failed(self, address: Address) -> None:
        """Count a wrong attempt. One that comes while the brake is on makes it no longer."""
        own = self._by_address.get(address.network)
        for window in (self._all, own):
            if window and window.seconds_left:
                window.turn_away()
                return
        if own is None:
            network = Address(address.network, address.network)
            own = self._window(int(BY_ADDRESS), "address", network)
            self._by_address[address.network] = own
            if len(self._by_address) > ADDRESSES_MAX:
                self._by_address.popitem(last=False)
        self._by_address.move_to_end(address.network)
        own.take()
        self._all.take()

    def _window(self, limit: int, scope: str, address: Address | None) -> Window:
        return Window(
            limit,
            lambda: self._log.warn("brake-on", address, scope=scope),
            lambda refused: self._log.warn("brake-off", address, scope=scope, refused=str(refused)),
        )
