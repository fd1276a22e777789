"""One connection: reads the head of each request and decides who gets it, a reader's protocol or uvicorn. No lines.

Rule 1: there is one reading of a request's head (http/head.py), and one decision, for the first request of a
        connection and for every later one.
Rule 2: what follows a request that was not read to its end is never a request. It is thrown away.
Rule 3: each phase (phases.py) has a deadline that no byte puts off. A request has one for all of it.
Rule 4: a reader is accepted in one write, without a task: ASGI, middleware and a second parser would cost two thirds of
        a handshake (docs/adr/0003).

More than 400 lines: it is one connection, whose methods share what has been read and which phase it is in.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from ticker.errors import Busy, TickerError
from ticker.http.head import BadHead, Head, end_of_head, past_empty_lines, read_head
from ticker.readers.admission import Wanted
from ticker.readers.handover import INBOUND_MAX, SocketReader, StreamReader
from ticker.serving import phases
from ticker.serving.connections import Turn, bound, cut, is_gone, unread
from ticker.serving.entrance import Entrance
from ticker.serving.exchange import Exchange
from ticker.serving.handshake import STREAMING, opening_of
from ticker.serving.phases import Phase
from ticker.serving.priority import claim_of
from ticker.serving.refusals import NO_ROOM, explanation, refusal


class Door(asyncio.Protocol):
    """One connection, until it is a reader's or closed."""

    __slots__ = (
        "_answer_by _app_state _at_end _config _credential _data _empty_lines _entrance _exchange _file _head "
        "_is_editors _is_trusted _kept _loop _phase _seen _state _stopping _thrown_away _transport _turn _used "
        "_written deadline"
    ).split()

    def __init__(self, entrance: Entrance, config: Config, server_state: ServerState, app_state: Any, **_: Any) -> None:
        """`entrance` is ours; the rest is what uvicorn makes a protocol of (its `http=` option)."""
        self._entrance = entrance
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._loop = asyncio.get_running_loop()
        self._phase = Phase.WAITING
        self._turn: Turn = "idle"
        self._data = b""  # of a request that is to come
        self._empty_lines = 0  # before it
        self._seen = 0  # bytes of it that hold no end of a head
        self._exchange: Exchange | None = None
        self._file = -1  # its descriptor, once it has been waited for
        self._head: Head | None = None  # of a request whose turn is to come
        self._kept = 0  # bytes
        self._answer_by = 0.0
        self._credential = b""  # of a request that changes something
        self._is_editors = False  # whether something was changed by this connection, with a key that was good
        self._is_trusted = False  # whether the request comes with a credential that was good before
        self._used = False  # whether there has been a request
        self._at_end = False  # whether the client sends nothing more
        self._stopping = False
        self._thrown_away = 0
        self._written = 0  # bytes of answers since the client was known to have read all before
        self.deadline = self._loop.time() + phases.HEAD_WITHIN

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("Any", self))
        self._entrance.connections.enter(self)
        self._entrance.dozing.enter(self)

    def data_received(self, data: bytes) -> None:
        match self._phase:
            case Phase.WAITING | Phase.HEAD:
                self._data = self._data + data if self._data else data
                self._look()
            case Phase.EXCHANGE:
                self._more(data)
            case Phase.QUEUED:
                self._data += data
                self._keep(self._kept + len(data))
                self.pause_reading()  # the rest when its turn comes
            case Phase.CHECKING:
                self._data += data
                if len(self._data) > INBOUND_MAX:
                    self._transport.abort()  # its answer is under way, and it has nothing more to say
                self._wait_for_client()
            case Phase.ENDING:
                self._thrown_away += len(data)
                if self._thrown_away > phases.THROWN_AWAY_MAX:
                    self._transport.abort()
                self._wait_for_client()

    def eof_received(self) -> bool:
        """The client sends nothing more. What it has sent whole is answered; then the connection ends."""
        self._at_end = True
        if self._phase is Phase.QUEUED or (self._phase is Phase.EXCHANGE and not self._is_incomplete):
            return True
        if not self._unread():
            return False
        if self._phase is not Phase.ENDING:  # closed now, the kernel would keep the answers for nobody
            if self._exchange:
                self._exchange.give_up()
            self._end()
        return True

    def pause_writing(self) -> None:
        if self._exchange:
            self._exchange.pause_writing()
            self._set_turn("owing")
            self._keep(len(self._data) + phases.EXCHANGE_COST)

    def resume_writing(self) -> None:
        if self._exchange:
            self._exchange.resume_writing()
            if self._phase is Phase.WAITING:
                self._set_turn("ours" if self._is_editors else "idle")
            elif self._phase is Phase.EXCHANGE and self._exchange.conn.is_read:
                self._set_turn("ours")

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._phase = Phase.ENDING
        self._forget()
        if exchange := self._let_go():
            exchange.connection_lost(exc)

    # What uvicorn takes for a transport

    def write(self, data: bytes) -> None:
        if data and self._phase is Phase.EXCHANGE:
            self._written += len(data)
            self._transport.write(data)

    def close(self) -> None:
        """uvicorn's application has failed in the middle of an answer, or the answer was the last one."""
        if self._phase is Phase.EXCHANGE and self._exchange and not self._exchange.is_answered:
            self._transport.abort()  # what there is of it must not look whole

    def is_closing(self) -> bool:
        return self._phase is not Phase.EXCHANGE or self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._entrance.dozing.awake(self._file, self)
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._is_incomplete:
            self._wait_for_client()
        else:
            self.wake()

    # What is read, and when (dozing.py)

    def _wait_for_client(self) -> None:
        """Read on once there is something, and it is this connection's turn."""
        if self._transport.is_closing() or self._at_end:
            return
        if self._is_editors or self._is_trusted:
            self._transport.resume_reading()
            return
        if self._file < 0:
            self._file = self._transport.get_extra_info("socket").fileno()
        self._transport.pause_reading()
        self._entrance.dozing.doze(self._file, self)

    def doze_if_silent(self) -> None:
        if self._phase is Phase.WAITING and not self._used:
            self._wait_for_client()

    def wake(self) -> None:
        self._entrance.dozing.awake(self._file, self)
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def lose(self) -> None:
        self._transport.abort()

    # One request after another

    def _look(self) -> None:
        """Whether a head is there, and what becomes of its request."""
        try:
            if self._phase is Phase.WAITING and not self._begins():
                self._wait_for_client()
                return
            data = self._data
            if not (end := end_of_head(data, self._seen)):
                self._seen = len(data)
                self._keep(len(data))
                self._wait_for_client()
                return
            head = read_head(data[:end])
            self._used = True
            opening = opening_of(head)
        except BadHead as bad:
            self.refuse(bad.status, bad.detail)
            return
        self._data, self._seen = data[end:], 0
        if opening:
            self._admit(head, opening)
        else:
            self._queue(head, len(data))

    def _begins(self) -> bool:
        """Whether the first byte of a request is there. Raises BadHead."""
        self._data, self._empty_lines = past_empty_lines(self._data, self._empty_lines)
        if self._data in (b"", b"\r"):
            return False
        self._phase = Phase.HEAD
        self._empty_lines = 0
        begun = self._loop.time()
        self.deadline = begun + phases.HEAD_WITHIN
        self._answer_by = begun + phases.REQUEST_WITHIN
        return True

    def _queue(self, head: Head, size: int) -> None:
        """Give the request to uvicorn, when its turn comes. `size` is what is here of it, in bytes."""
        self._phase = Phase.QUEUED
        self.deadline = self._answer_by
        self._set_turn("owing")
        claim = claim_of(head)
        self._credential = claim.credential if claim.needs_it else b""
        self._is_trusted = self._entrance.turns.trusts(claim.credential)
        self._keep(size + phases.EXCHANGE_COST)
        if self._phase is Phase.QUEUED:
            signs_in = claim.signs_in and head.length is not None and len(self._data) >= head.length
            self._head = head
            self._entrance.turns.take(self._begin, claim.credential, signs_in=signs_in)
        if self._phase is Phase.QUEUED:
            if self._data:
                self.pause_reading()  # more when its turn comes, or each request of many sent ahead would read more
            else:
                self._wait_for_client()

    def _begin(self) -> None:
        head, self._head = self._head, None
        if self._phase is not Phase.QUEUED or self._transport.is_closing() or head is None:
            return
        if is_gone(self._transport):  # it was asleep, so the event loop doesn't know yet
            self._transport.abort()
            return
        self._phase = Phase.EXCHANGE
        exchange = self._exchange
        if exchange is None:
            exchange = self._exchange = Exchange(self, self._config, self._state, self._app_state)
            exchange.connection_made(cast("asyncio.Transport", self))
            bound(self._transport)
        exchange.begin(head)
        data, self._data = self._data, b""
        self._more(data)
        if self._is_incomplete:
            if self._at_end:
                self._transport.abort()  # the rest won't come
        elif self._phase is Phase.EXCHANGE and not self._data:
            self.wake()  # to see if the client goes

    def _more(self, data: bytes) -> None:
        """Some of a request's body, and perhaps of what follows it."""
        exchange = self._exchange
        assert exchange
        if not exchange.conn.is_read:
            self._keep(self._kept + len(data))
            try:
                data = exchange.feed(data) if self._phase is Phase.EXCHANGE else b""
            except BadHead as bad:
                self.refuse(bad.status, bad.detail)
            if self._phase is not Phase.EXCHANGE:
                return
        if exchange.conn.is_read:
            if self._turn == "owing" and not exchange.flow.write_paused:  # or it doesn't read the answer before
                self._set_turn("ours")
            if data:
                self._data += data
                self.pause_reading()  # the next request waits until this one is answered
        elif not exchange.flow.read_paused:
            self._wait_for_client()

    def answered(self) -> None:
        """The request's answer is written. On to the next one, if there may be one."""
        exchange = self._exchange
        if self._phase is not Phase.EXCHANGE or exchange is None:
            return
        if self._credential and exchange.conn.is_granted:
            self._entrance.turns.trust(self._credential)
            self._is_editors = True
        if exchange.ends or self._at_end or self._stopping or not exchange.conn.is_read:
            self._end()
            return
        self._phase = Phase.WAITING
        self._is_trusted = False
        self._set_turn("ours" if self._is_editors else "idle")
        self._keep(len(self._data))
        if self._phase is not Phase.WAITING:
            return
        self.deadline = self._loop.time() + self._entrance.keep_alive
        if self._data:
            self._loop.call_soon(self._go_on)
        else:
            self.resume_reading()

    def is_leaving(self) -> bool:
        """Whether this node is about to stop, so that an answer is the last one on this connection."""
        return self._stopping or self._entrance.live.hub.draining

    def _go_on(self) -> None:
        """The next request, from what came with the one before. Only if that isn't all of it, more is read."""
        if self._phase is Phase.WAITING and not self._transport.is_closing():
            self._look()

    @property
    def _is_incomplete(self) -> bool:
        """Whether more of the request is to come before it is answered."""
        if self._phase is Phase.EXCHANGE and self._exchange:
            return not self._exchange.conn.is_read
        return self._phase in (Phase.WAITING, Phase.HEAD)

    # Readers

    def _admit(self, head: Head, opening: bytes) -> None:
        """Let a reader in, or say why not. `opening` is what lets it in."""
        try:
            wanted = self._entrance.wanted(head)
            must_wait = self._entrance.must_wait(wanted)
        except TickerError as error:
            self._answer(explanation(error))
            return
        if not must_wait:
            self._let_in(wanted, opening)
            return
        self._phase = Phase.CHECKING
        self._set_turn("ours")
        self.deadline = self._answer_by
        self._wait_for_client()
        self._entrance.checking += 1
        task = self._loop.create_task(self._let_in_later(wanted, opening))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    async def _let_in_later(self, wanted: Wanted, opening: bytes) -> None:
        """Once this node knows what the reader has seen."""
        try:
            await self._entrance.live.catch_up(wanted)
            if self._phase is Phase.CHECKING and not self._transport.is_closing():
                self._let_in(wanted, opening)
        except TickerError as error:
            self._answer(explanation(error))
        finally:
            self._entrance.checking -= 1

    def _let_in(self, wanted: Wanted, opening: bytes) -> None:
        self._leave()
        live = self._entrance.live
        self._let_go()
        self.wake()
        kind = StreamReader if opening is STREAMING else SocketReader
        reader = kind(live.hub, wanted.channels, self._transport)
        live.welcome(reader, wanted, opening)
        if self._data:
            reader.data_received(self._data)

    # The end

    def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Refuse and close. An answer that has begun is cut off."""
        if self._phase is Phase.EXCHANGE and self._exchange and not self._exchange.give_up():
            self._transport.abort()
            return
        self._answer(refusal(status, detail, body=not self._data.startswith(b"HEAD ")))

    def _answer(self, answer: bytes) -> None:
        if self._phase is Phase.ENDING or self._transport.is_closing():
            return
        self._written += len(answer)
        self._transport.write(answer)
        self._end()

    def _end(self) -> None:
        """Close when everything is written. If more may arrive, wait for it: closing at once would make the client lose
        the answer."""
        exchange = self._exchange
        all_is_read = (
            self._phase is Phase.EXCHANGE and exchange is not None and exchange.conn.is_read and not self._data
        )
        self._phase = Phase.ENDING
        self._forget()
        self._set_turn("owing")
        self._keep(0)
        self.deadline = self._loop.time() + phases.LINGER
        self._answer_by = max(self._answer_by, self.deadline)
        if (all_is_read or self._at_end) and not self._unread():
            self._transport.close()
        elif not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._wait_for_client()

    def expire(self) -> None:
        """The deadline has passed."""
        is_unread = self._unread() > 0
        if is_unread and self._loop.time() < self._answer_by:
            # It may take its time to read. One that has closed its side doesn't say when it has read.
            self.deadline = self._loop.time() + phases.LINGER if self._at_end else self._answer_by
        elif is_unread:
            cut(self._transport)
        elif self._phase is Phase.ENDING:
            self._transport.abort()
        elif self._phase is Phase.HEAD or not self._used:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, f"The request's head did not come within {phases.HEAD_WITHIN:g} s.")
        elif self._phase is Phase.QUEUED:
            self._answer(explanation(Busy("Too much is asked of this node at once. Come back in a moment.")))
        elif self._phase is Phase.EXCHANGE and self._exchange and not self._exchange.conn.is_read:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, f"The request did not come within {phases.REQUEST_WITHIN:g} s.")
        else:
            self._transport.abort()

    def give_way(self) -> None:
        """The room is needed by somebody else."""
        self._leave()  # first: what it keeps no longer counts, and nothing below asks anybody else to go
        is_unread = self._unread() > 0
        is_new = self._phase is Phase.WAITING and not self._used
        if not is_unread and (is_new or self._phase in (Phase.HEAD, Phase.QUEUED)):
            self._transport.write(NO_ROOM)
        if self._exchange:
            self._exchange.give_up()
        self._phase = Phase.ENDING
        self._forget()
        if is_unread:
            cut(self._transport)
        else:
            self._transport.close()

    def _forget(self) -> None:
        """What is here of a request that won't be answered."""
        self._data = b""
        if self._head:
            self._head = None
            self._entrance.turns.forget(self._begin)

    def weight(self) -> int:
        """Bytes that are kept for it now: of its request, and of answers."""
        return self._kept + self._unread()

    def _unread(self) -> int:
        """Bytes that are kept of answers."""
        if not self._written:
            return 0
        if not (found := unread(self._transport)):
            self._written = 0
        return found

    def shutdown(self) -> None:
        """uvicorn's word for all that it knows of when it stops."""
        self._stopping = True
        if self._phase is Phase.WAITING and self._used:
            self._transport.close()
        elif self._phase in (Phase.WAITING, Phase.HEAD, Phase.QUEUED, Phase.CHECKING):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "This node is stopping. Come back, to any node.")

    def _keep(self, size: int) -> None:
        """So many bytes are here of a request, beside what there is of answers that aren't read."""
        self._kept = size
        # Asking the kernel costs 10 µs, so that of small answers it is taken for granted that they aren't read.
        owed = 4 * self._written if self._written < phases.SMALL_ANSWERS else self._unread()
        self._entrance.connections.keep(self, self._turn, size + owed)

    def _set_turn(self, turn: Turn) -> None:
        self._entrance.connections.turn(self, self._turn, turn)
        self._turn = turn

    def _let_go(self) -> Exchange | None:
        """The exchange, which is not needed again. It knows this door: kept, they would be a cycle."""
        exchange, self._exchange = self._exchange, None
        return exchange

    def _leave(self) -> None:
        self._entrance.dozing.awake(self._file, self)
        self._entrance.connections.leave(self, self._turn)
        self._state.connections.discard(cast("Any", self))
