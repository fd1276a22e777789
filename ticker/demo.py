"""A newsroom of our own for `--demo`: its lines go on for as long as the node runs. Knows no reader.

The first lines come at once, so that a newcomer sees something. From then on there is one change at a time: slowly
while somebody watches, and once in several minutes while nobody does, so that a later visitor finds a board of the last
two hours. A newswire gives each line the time of its publication, so none can be dated back.

Rule 1: only its own lines are touched.
Rule 2: there is one line of each story. A line is replaced when its story comes again, or expires by its channel's
        `expires_in`;
        the mark of a retraction after `MARKED_FOR`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, assert_never

from msgspec import UNSET
from msgspec.structs import replace

from ticker.channel import Channel, base_language
from ticker.errors import Conflict, NotFound, TickerError
from ticker.fanout.relay import Relay
from ticker.identity import Actor
from ticker.line import Act, NewLine, Patch, Urgency, checked
from ticker.newswire import Newswire

DEMO = Act(by=Actor("demo", "demo"))
OPENING = 6  # changes that are made at once
PACE = 0.7  # seconds between two of them
WATCHED = 25.0  # seconds between two changes while somebody watches: time to read one
ALONE = 600.0  # seconds between two while nobody does: some 150 a day
LOOK = 1.0  # seconds between two looks at whether somebody watches
FLASH_FOR = 120  # seconds; a flash that stands for hours is none
MARKED_FOR = 600  # seconds; the usual day would fill the board with retractions

log = logging.getLogger("ticker.demo")


class Say(NamedTuple):
    story: str
    urgency: Urgency
    text: str


class Correct(NamedTuple):
    """Of a story's newest line."""

    story: str
    text: str
    note: str


class Retract(NamedTuple):
    story: str
    note: str


Change = Say | Correct | Retract

# What each language's desk tells, over and over.
SCRIPTS: dict[str, tuple[Change, ...]] = {
    "en": (
        Say("harbour-bridge", "update", "Harbour Bridge reopens to trams after two weeks of repairs."),
        Say("comet", "update", "Observatory: the comet will be visible to the naked eye until Thursday."),
        Say("storm", "urgent", "Weather service raises its storm warning for the northern coast to orange."),
        Say("library", "update", "City library extends its opening hours to midnight from the first of the month."),
        Say("ferries", "urgent", "Ferries to the islands are suspended from 18:00; rail services run as planned."),
        Say("schools", "bulletin", "Schools on the northern coast stay closed tomorrow, the regional council says."),
        Correct(
            "comet",
            "Observatory: the comet will be visible to the naked eye until Friday.",
            "Corrects the last day: Friday, not Thursday.",
        ),
        Say("market", "update", "Fish market moves to the old rope works while its hall is being repaired."),
        Say("airport", "urgent", "The island airport is closed for the night, its operator says."),
        Retract("airport", "The airport is open. The message was about another one."),
        Say("tram", "update", "Night trams run every ten minutes on Friday for those who go to see the comet."),
        Say("storm-red", "flash", "Weather service raises its storm warning for the northern coast to red."),
        Say("harbour", "bulletin", "The harbour master closes the outer basin; all boats are in."),
        Say("museum", "update", "Museum of Glass shows the restored windows of the old town hall."),
        Say("power", "urgent", "Some 400 homes in the western district are without power, the utility says."),
        Correct("power", "Some 40 homes in the western district are without power, the utility says.", "A zero less."),
        Say("garden", "update", "Botanic garden: the titan arum is expected to bloom within days."),
        Say("power-back", "update", "Power is back in the western district."),
    ),
    "ar": (
        Say("harbour-bridge", "update", "إعادة فتح جسر الميناء أمام الترام بعد أسبوعين من أعمال الصيانة."),
        Say("comet", "update", "المرصد: يمكن رؤية المذنّب بالعين المجردة حتى يوم الخميس."),
        Say("storm", "urgent", "هيئة الأرصاد ترفع مستوى التحذير من العاصفة على الساحل الشمالي إلى «البرتقالي»."),
        Say("ferries", "urgent", "تعليق رحلات العبّارات إلى الجزر ابتداءً من الساعة 18:00، والقطارات تعمل كالمعتاد."),
        Say("schools", "bulletin", "المجلس المحلي: إغلاق مدارس الساحل الشمالي غدًا."),
        Say("library", "update", "مكتبة المدينة تمدد ساعات عملها حتى منتصف الليل اعتبارًا من أول الشهر."),
        Correct(
            "comet",
            "المرصد: يمكن رؤية المذنّب بالعين المجردة حتى يوم الجمعة.",
            "تصحيح اليوم الأخير: الجمعة وليس الخميس.",
        ),
        Say("airport", "urgent", "إغلاق مطار الجزيرة الليلة، بحسب الجهة المشغّلة."),
        Retract("airport", "المطار مفتوح، وكان الخبر عن مطار آخر."),
        Say("tram", "update", "الترام الليلي كل عشر دقائق يوم الجمعة لمن يريد رؤية المذنّب."),
        Say("storm-red", "flash", "هيئة الأرصاد ترفع مستوى التحذير على الساحل الشمالي إلى «الأحمر»."),
        Say("harbour", "bulletin", "إغلاق الحوض الخارجي للميناء، وجميع القوارب في الداخل."),
        Say("museum", "update", "متحف الزجاج يعرض نوافذ مبنى البلدية القديم بعد ترميمها."),
    ),
    "es": (
        Say("harbour-bridge", "update", "El puente del puerto reabre al tranvía tras dos semanas de obras."),
        Say("comet", "update", "El observatorio: el cometa podrá verse a simple vista hasta el jueves."),
        Say("storm", "urgent", "Meteorología eleva a naranja el aviso por temporal en la costa norte."),
        Say("ferries", "urgent", "Suspendidos desde las 18.00 los ferris a las islas; los trenes, con normalidad."),
        Say("schools", "bulletin", "Las escuelas de la costa norte cerrarán mañana, según el consejo regional."),
        Say("library", "update", "La biblioteca municipal abrirá hasta medianoche desde el día uno."),
        Correct(
            "comet",
            "El observatorio: el cometa podrá verse a simple vista hasta el viernes.",
            "Se corrige el último día: viernes, no jueves.",
        ),
        Say("airport", "urgent", "El aeropuerto de la isla cierra esta noche, según su operador."),
        Retract("airport", "El aeropuerto está abierto. El aviso era de otro."),
        Say("tram", "update", "El viernes habrá tranvía nocturno cada diez minutos para ver el cometa."),
        Say("storm-red", "flash", "Meteorología eleva a rojo el aviso por temporal en la costa norte."),
        Say("harbour", "bulletin", "Se cierra la dársena exterior del puerto; todos los barcos están dentro."),
        Say("museum", "update", "El Museo del Vidrio muestra las vidrieras restauradas del antiguo ayuntamiento."),
    ),
}


def channels(declared: Mapping[str, Channel]) -> dict[str, Channel]:
    """The channels as the demo has them."""
    return {slug: replace(each, tombstones_for=min(each.tombstones_for, MARKED_FOR)) for slug, each in declared.items()}


async def play(newswire: Newswire, relay: Relay) -> None:
    """Tell the demo's stories on every channel, in its language, until canceled."""
    desks = [_Desk(newswire, relay, channel) for channel in relay.channels.values()]
    thinnest = min(len(relay.board(slug).lines) for slug in relay.channels)
    for step in itertools.count():
        for desk in desks:
            try:
                await desk.go_on()
            except TickerError as error:  # the newswire is away, or an editor was faster
                log.warning("The demo could not publish a line of %s: %s", desk.slug, error.detail)
        if step < OPENING - thinnest:
            await asyncio.sleep(PACE)
        else:
            await _rest(relay)


async def _rest(relay: Relay) -> None:
    """A short one as soon as somebody watches."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    while (left := since + (WATCHED if len(relay.hub) else ALONE) - loop.time()) > 0:  # noqa: ASYNC110 - the hub tells nobody who comes
        await asyncio.sleep(min(LOOK, left))


class _Desk:
    """One channel's lines."""

    def __init__(self, newswire: Newswire, relay: Relay, channel: Channel) -> None:
        self.slug = channel.slug
        self._newswire = newswire
        self._relay = relay
        self._channel = channel
        script = SCRIPTS.get(base_language(channel.language), SCRIPTS["en"])
        self._round = len(script)
        self._changes = itertools.cycle(script)
        words = {change.text for change in script if not isinstance(change, Retract)}
        self._told = {line.story: line.id for line in reversed(relay.board(self.slug).lines) if line.text in words}
        """The id of the newest line of each demo story. Some are from before a restart."""

    async def go_on(self) -> None:
        """The next change that can be made. A story that comes again replaces its former line."""
        board = self._relay.board(self.slug)
        standing = {line.id for line in board.lines if line.status == "usable"}
        for change in itertools.islice(self._changes, self._round):
            told = self._told.get(change.story)
            match change:
                case Say():
                    if told not in standing or len(standing) >= OPENING:
                        return await self._say(change, told, board.now)
                case Correct():
                    if told in standing:
                        return await self._change(told, Patch(text=change.text, note=change.note))
                case Retract():
                    if told in standing:
                        del self._told[change.story]
                        return await self._change(told, Patch(status="canceled", note=change.note))
                case _:
                    assert_never(change)
        return None

    async def _say(self, change: Say, told: str | None, now: datetime) -> None:
        if told:
            del self._told[change.story]
            with contextlib.suppress(Conflict, NotFound):  # an editor has retracted it; it is older than the history
                await self._change(told, Patch(expires=now))
        brief = FLASH_FOR if change.urgency == "flash" else UNSET
        new_line = checked(NewLine(text=change.text, urgency=change.urgency, story=change.story, expires_in=brief))
        self._told[change.story] = (await self._newswire.publish(self._channel, new_line, act=DEMO)).line.id

    async def _change(self, line_id: str, patch: Patch) -> None:
        await self._newswire.amend(self._channel, line_id, checked(patch), act=DEMO)
