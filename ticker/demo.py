"""Lines of our own for `--demo`, told over some seconds so that the banners are seen to live. Knows no reader."""

from __future__ import annotations

import asyncio
import logging
from itertools import zip_longest

from ticker.errors import TickerError
from ticker.fanout.relay import Relay
from ticker.line import Draft, Patch, Urgency, checked
from ticker.newswire import Newswire

BY = "demo"
PACE = 0.7  # seconds between two lines of a channel

log = logging.getLogger("ticker.demo")

_STORIES: dict[str, list[tuple[Urgency, str, str]]] = {
    "en": [
        ("update", "harbour-bridge", "Harbour Bridge reopens to trams after two weeks of repairs."),
        ("update", "comet", "Observatory: the comet will be visible to the naked eye until Thursday."),
        ("urgent", "storm", "Weather service raises its storm warning for the northern coast to orange."),
        ("update", "library", "City library extends its opening hours to midnight from the first of the month."),
        ("urgent", "storm", "Ferries to the islands are suspended from 18:00; rail services run as planned."),
        ("bulletin", "storm", "Schools on the northern coast stay closed tomorrow, the regional council says."),
    ],
    "ar": [
        ("update", "harbour-bridge", "إعادة فتح جسر الميناء أمام الترام بعد أسبوعين من أعمال الصيانة."),
        ("update", "comet", "المرصد: يمكن رؤية المذنّب بالعين المجردة حتى يوم الخميس."),
        ("urgent", "storm", "هيئة الأرصاد ترفع مستوى التحذير من العاصفة على الساحل الشمالي إلى «البرتقالي»."),
        ("urgent", "storm", "تعليق رحلات العبّارات إلى الجزر ابتداءً من الساعة 18:00، والقطارات تعمل كالمعتاد."),
        ("bulletin", "storm", "المجلس المحلي: إغلاق مدارس الساحل الشمالي غدًا."),
    ],
    "es": [
        ("update", "harbour-bridge", "El puente del puerto reabre al tranvía tras dos semanas de obras."),
        ("update", "comet", "El observatorio: el cometa podrá verse a simple vista hasta el jueves."),
        ("urgent", "storm", "Meteorología eleva a naranja el aviso por temporal en la costa norte."),
        ("urgent", "storm", "Suspendidos desde las 18.00 los ferris a las islas; los trenes circulan con normalidad."),
        ("bulletin", "storm", "Las escuelas de la costa norte cerrarán mañana, según el consejo regional."),
    ],
}

# The second line of each desk is put right while readers watch: (words, why).
_CORRECTIONS = {
    "en": (
        "Observatory: the comet will be visible to the naked eye until Friday.",
        "Corrects the last day: Friday, not Thursday.",
    ),
    "ar": ("المرصد: يمكن رؤية المذنّب بالعين المجردة حتى يوم الجمعة.", "تصحيح اليوم الأخير: الجمعة وليس الخميس."),
    "es": (
        "El observatorio: el cometa podrá verse a simple vista hasta el viernes.",
        "Se corrige el último día: viernes, no jueves.",
    ),
}


async def play(newswire: Newswire, relay: Relay) -> None:
    """Publish the demo's lines on channels that show nothing yet, then correct one of each."""
    empty = [slug for slug in _STORIES if slug in relay.channels and not relay.board(slug).lines]
    second: dict[str, str] = {}
    try:
        for step, lines in enumerate(zip_longest(*(_STORIES[slug] for slug in empty))):
            for slug, line in zip(empty, lines, strict=True):
                if line:
                    urgency, story, words = line
                    draft = checked(Draft(text=words, urgency=urgency, story=story))
                    receipt = await newswire.publish(relay.channels[slug], draft, by=BY)
                    if step == 1:
                        second[slug] = receipt.line.id
            await asyncio.sleep(PACE)
        for slug, line_id in second.items():
            words, note = _CORRECTIONS[slug]
            await newswire.amend(relay.channels[slug], line_id, checked(Patch(text=words, note=note)), by=BY)
    except TickerError as error:
        log.warning("The demo stops here: %s", error.detail)
