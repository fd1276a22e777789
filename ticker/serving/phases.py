"""What a connection is in the midst of, how long that may take, and how much.

    waiting ──first byte──▶ head ──a reader's──▶ checking ──▶ handed over: a reader (readers/handover.py)
       ▲                     │                      (only if it has seen more than this node)
       │                     └──any other──▶ queued ──▶ exchange ──answered, and all of it was read──┐
       └───────────────────────────────────────────────────────────────────────────────────────────┘
    refused, answered before all of the request came, or the last one ──▶ ending ──▶ closed

A deadline is put off by no byte.
"""

from __future__ import annotations

from enum import Enum

HEAD_WITHIN = 10.0  # seconds for a request's head to come, from its first byte
REQUEST_WITHIN = 30.0  # seconds for all of a request, from its first byte until its answer has left us
LINGER = 2.0  # seconds in which a client may take note of an answer that came before it had sent all
EXCHANGE_COST = 16_384  # bytes that a request takes beside its own, until it is answered
SMALL_ANSWERS = 8_192  # bytes of answers up to which the kernel isn't asked what of them is read
THROWN_AWAY_MAX = 1_048_576  # bytes a client may still send after its last answer


class Phase(Enum):
    WAITING = "nothing of a request is there"
    HEAD = "some of a head is there"
    CHECKING = "a reader waits until this node knows what it has seen"
    QUEUED = "a request's head is there, and its turn is to come"
    EXCHANGE = "uvicorn has the request; its body or its answer may be under way"
    ENDING = "the last answer is written, and what still comes is thrown away"
