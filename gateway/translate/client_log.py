"""`POST /log`: a client's line in the log of this process. Nothing is asked of a service.

What a client says is data: it is written as JSON, so that no line of it can look like one of ours, and is cut to
nothing, since half a message may say the opposite; what is too long is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import orjson
from sp00ky.gateway.exchange import Answer, Asked
from sp00ky.gateway.translate.body import parse_object
from sp00ky.gateway.translate.fields import ANYTHING, TEXT, Body, Field
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.json import JsonError, encode_json
from sp00ky.proto.viewer import auth_id_of

MESSAGE_CHARS_MAX: Final = 8 * 1024
DATA_BYTES_MAX: Final = 16 * 1024
LEVELS: Final[Mapping[str, int]] = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}

MESSAGE = Field("message", "what happened", {**TEXT, "maxLength": MESSAGE_CHARS_MAX}, required=True)
LEVEL = Field("level", "error, warn, info, debug or trace; anything else is info")
DATA = Field("data", f"more about it, up to {DATA_BYTES_MAX} bytes of JSON", ANYTHING)
LOG_BODY = Body((MESSAGE, LEVEL, DATA))

log = logging.getLogger("sp00ky.client")


def log_answer(asked: Asked, response: None) -> Answer:
    """Raises Fault INVALID, TOO_LARGE."""
    body = parse_object(asked)
    message, level, data = MESSAGE.text(body), LEVELS.get(LEVEL.text(body).lower(), logging.INFO), body.get(DATA.name)
    try:
        details = b"" if data is None else encode_json(data)
    except JsonError as error:
        raise Fault(Code.INVALID, f'field "data" cannot be written: {error}') from None
    if len(message) > MESSAGE_CHARS_MAX or len(details) > DATA_BYTES_MAX:
        limit = f"at most {MESSAGE_CHARS_MAX} characters and {DATA_BYTES_MAX} bytes of data"
        raise Fault(Code.TOO_LARGE, f"message has {len(message)} characters, and {len(details)} bytes of data", limit)
    who = auth_id_of(asked.viewer) if asked.viewer is not None else "a service"
    log.log(level, "%s says %s %s", who, orjson.dumps(message).decode(), details.decode())
    return Answer()
