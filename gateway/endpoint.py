"""What an endpoint is: the row of THE TABLE.

An endpoint is three functions: `request` makes the message, `rpc` is called with it, `answer` makes the body; `follow`
is a second call that depends on the first answer, `silent` answers for a service that does not. One that goes on
answering has `stream` instead, which writes the response itself (`sse.py`) and has no time limit. The rest of a row
says what `openapi.json` says of it: what is asked (`asks`, `body`), what is answered (`result`, its `media_types`),
which refusals it has of its own (`may`); those that come from being behind a bearer, having a body or calling a service
follow from the row itself, in `openapi.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import web
from google.protobuf.message import Message
from sp00ky.gateway.exchange import JSON, Answer, Api, Asked
from sp00ky.gateway.translate.fields import Body, Field
from sp00ky.gateway.upstream import Rpc
from sp00ky.proto.faults import Code, Fault

if TYPE_CHECKING:  # both are made of rows
    from sp00ky.gateway.app import Edge
    from sp00ky.gateway.auth import Principal

SCHEDULER: frozenset[Api] = frozenset({"scheduler", "gateway"})
SSP: frozenset[Api] = frozenset({"ssp"})
BOTH: frozenset[Api] = SCHEDULER | SSP
NONE: frozenset[Api] = frozenset()


Load = Literal["new", "write", "read", "health", "log", "stream"]


class Role(StrEnum):
    """What a bearer may be. `admin` may everything and is named by no row."""

    USER = "user"  # a record user, by JWT: has its own views
    CLIENT = "client"  # an application's server, which acts for any user
    SSP = "ssp"
    ADMIN = "admin"


USERS = frozenset({Role.USER, Role.CLIENT})
CLIENTS = frozenset({Role.CLIENT})
READERS = frozenset({Role.CLIENT, Role.SSP})
SSPS = frozenset({Role.SSP})
ADMINS: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class Follow:
    """A second call. `request` may decide that there is none, by None."""

    request: Callable[[Asked, Any], Message | None]
    rpc: Rpc
    answer: Callable[[Asked, Any, Any], Answer]
    to_scheduler: bool = False  # on the SSP's API, where the first is not


def streamed(asked: Asked, response: Any) -> Answer:
    """The answer of a row whose `stream` answers."""
    raise AssertionError("a stream is not translated")


@dataclass(frozen=True, slots=True)
class Endpoint:
    method: str
    path: str
    apis: frozenset[Api]
    summary: str
    answer: Callable[[Asked, Any], Answer] = streamed
    request: Callable[[Asked], Message] | None = None
    rpc: Rpc | None = None
    follow: Follow | None = None
    silent: Callable[[Asked, Fault], Answer] | None = None
    roles: frozenset[Role] = CLIENTS  # who may, where a bearer is asked for
    open_on: frozenset[Api] = NONE  # APIs on which no bearer is asked for
    stream: Callable[[web.Request, Asked, Principal, Edge], Awaitable[web.StreamResponse]] | None = None
    bearer_in_address: bool = False  # it may stand where a browser can put it (`streams/bearers.py`)
    to_scheduler: bool = False  # on the SSP's API: forwarded, once the SSP is ready
    own_metrics: bool = False
    always: bool = False  # answered however many requests are in flight
    load: Load | None = None  # class of `admission.py`; None: by method
    free_form_on: frozenset[Api] = NONE  # APIs on which a body of the wrong shape is 400, as documented, and not 422
    asks: Sequence[Field] = ()  # of the address, after ?
    closed: bool = False  # the address may ask for nothing else
    headers: Sequence[Field] = ()  # of its own
    body: Body | None = None
    status: int = 200  # of the answer
    result: Any = None  # type of the answer's body; None: not described
    media_types: Sequence[str] = (JSON,)  # of the answer; none: it has no body
    may: frozenset[Code] = frozenset()  # faults of its own
    later: bool = False  # answers 501

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def load_class(self) -> Load:
        return self.load or ("read" if self.method == "GET" else "write")
