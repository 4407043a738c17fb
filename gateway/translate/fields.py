"""The fields a request has, each declared once: read by the functions beside this file, printed in `openapi.json`.

A field has one name in the documents and may have older ones (`also`); the first that is there counts. The description
shows the first name. An absent field and `null` are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sp00ky.gateway.exchange import CBOR, JSON
from sp00ky.gateway.translate.body import field_flag, field_object, field_text
from sp00ky.gateway.translate.consistency import CONSISTENCIES
from sp00ky.proto.values.kinds import Value

Schema = Mapping[str, object]

TEXT: Final[Schema] = {"type": "string"}
NAME: Final[Schema] = {"type": "string", "minLength": 1}
FLAG: Final[Schema] = {"enum": [0, 1, True, False, "0", "1", "true", "false"]}
OBJECT: Final[Schema] = {"type": "object"}
OBJECT_OR_TEXT: Final[Schema] = {"type": ["object", "string", "null"]}
ANYTHING: Final[Schema] = {}


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    about: str
    schema: Schema = field(default_factory=lambda: TEXT)
    also: tuple[str, ...] = ()
    required: bool = False

    def text(self, body: Mapping[str, Value]) -> str:
        """Raises Fault INVALID; "" if it may be absent and is."""
        return field_text(body, self.name, *self.also, required=self.required)

    def flag(self, body: Mapping[str, Value]) -> bool:
        return field_flag(body.get(self.name), self.name)

    def object(self, body: Mapping[str, Value]) -> dict[str, Value]:
        return field_object(body, self.name, *self.also)


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request: one object with these fields. `several`: or an array of them."""

    fields: Sequence[Field]
    media_types: tuple[str, ...] = (JSON, CBOR)
    several: bool = False


AUTH = Field(
    "auth",
    "whose view it is: a user's record id, or {id, access?, claims?}; only a service states it",
    {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "required": ["id"]}]},
)
ASKED_AUTH = Field("auth", "record id of the user whose view it is, for example user:1; only a service states it", NAME)
CONSISTENCY = Field(
    "consistency",
    "what the answer must have seen",
    {"enum": list(CONSISTENCIES)},
)
REVISION = Field("revision", "token that a write or a read returned; needed by the two middle consistencies")
ROWS = Field("rows", "1 adds the query's result", FLAG)
