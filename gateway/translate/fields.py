"""The fields a request has, each declared once: read by the functions beside this file, printed in `openapi.json`.

A field has one name in the documents and may have older ones (`also`); the first that is there counts. The description
shows the first name. An absent field and `null` are the same. Where a field that is overlooked makes the answer another
one (a view without its `auth` sees everything), one that is not declared is refused: such bodies and rows are `closed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sp00ky.gateway.exchange import CBOR, JSON
from sp00ky.gateway.translate.body import field_flag, field_object, field_text
from sp00ky.gateway.translate.consistency import CONSISTENCIES
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.misspelt import near
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
    """The body of a request: one object with these fields. `several`: or an array of them; `closed`: and no others."""

    fields: Sequence[Field]
    media_types: tuple[str, ...] = (JSON, CBOR)
    several: bool = False
    closed: bool = False

    def require_known(self, body: Iterable[str]) -> None:
        """Raises Fault INVALID for a field that is not declared."""
        refuse_unknown(body, self.fields, "field")


def refuse_unknown(given: Iterable[str], fields: Sequence[Field], kind: str) -> None:
    """Raises Fault INVALID for the first name that no field has, with the one that is likely meant. `kind`: in words,
    what the names are of."""
    names = {name for each in fields for name in (each.name, *each.also)}
    for name in given:
        if name not in names:
            meant = near(name, names)
            known = ", ".join(each.name for each in fields) or "none"
            hint = f"did you mean {meant}?" if meant else f"the {kind}s are: {known}"
            raise Fault(Code.INVALID, f'there is no {kind} "{name[:64]}"', hint)


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
