"""What was before an update, undone from the feed's own patches, against what really was there."""

from __future__ import annotations

import random
from uuid import UUID

from sp00ky.proto.database import Database
from sp00ky.proto.values.kinds import RecordId, SurrealSet, Value
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.capture.before import undone

LETTERS = "ab cd+%\n\t/~'\"@-é漢\U0001f99b"


class Draw:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def text(self) -> str:
        return "".join(self.chance.choice(LETTERS) for _ in range(self.chance.choice((0, 1, 3, 8, 30, 200))))

    def value(self, depth: int = 0) -> Value:
        chance = self.chance
        match chance.randrange(11 if depth < 3 else 8):
            case 0:
                return chance.randrange(5)
            case 1 | 2:
                return self.text()
            case 3:
                return chance.choice((None, True, 1.5))
            case 4:
                return RecordId("a", chance.randrange(3))
            case 5:
                return self.text().encode()
            case 6:
                return UUID(int=chance.getrandbits(128))
            case 7:
                return SurrealSet((1, 5 + chance.randrange(4)))
            case 8 | 9:
                return [self.value(depth + 1) for _ in range(chance.randrange(5))]
            case _:
                return {chance.choice("pqrs"): self.value(depth + 1) for _ in range(chance.randrange(4))}

    def changed(self, value: Value, depth: int = 0) -> Value:
        chance = self.chance
        if isinstance(value, str) and chance.random() < 0.8:
            place = chance.randrange(len(value) + 1)
            return value[:place] + self.text()[:6] + value[place + chance.randrange(6) :]
        if isinstance(value, list) and chance.random() < 0.8:
            items = [self.changed(item, depth + 1) if chance.random() < 0.4 else item for item in value]
            return (
                [*items, self.value(depth + 1)] if chance.random() < 0.5 else items[: chance.randrange(len(items) + 1)]
            )
        if isinstance(value, dict) and chance.random() < 0.8:
            fields = {name: self.changed(item, depth + 1) for name, item in value.items() if chance.random() < 0.9}
            return {**fields, chance.choice("pqrs"): self.value(depth + 1)}
        return self.value(depth)


async def test_every_update_can_be_undone(database: Database) -> None:
    await database.query(f"DEFINE DATABASE OVERWRITE {database.database} CHANGEFEED 1d INCLUDE ORIGINAL")
    draw = Draw(7)
    record: Value = {"p": draw.value(), "q": draw.value(), "r": "a longer text to be edited"}
    for _ in range(400):
        await database.query("UPSERT a:1 CONTENT $record", {"record": record})
        record = {name: draw.changed(value, 1) for name, value in record.items()}
    rows = (await database.query("SHOW CHANGES FOR DATABASE SINCE 0 LIMIT 1000"))[0]
    before: Value = None
    undone_exactly = updates = 0
    for change in (change for row in rows for change in row["changes"] if "define_table" not in change):
        after = change.get("current", change["update"])
        if "current" in change:
            kept, updates = pack(after), updates + 1
            found = undone(after, change["update"])
            assert pack(after) == kept, "the record itself was changed"
            assert found is None or pack(found) == pack(before)
            undone_exactly += found is not None
        before = after
    assert updates > 300 and undone_exactly == updates


def test_what_is_not_certain_is_not_guessed() -> None:
    record = {"id": RecordId("a", 1), "n": 1, "list": [1], "text": "abc"}
    for path, op in (
        ("/m", "replace"),
        ("/m", "remove"),
        ("/n/x", "add"),
        ("n", "add"),
        ("/n", "copy"),
        ("/list/9", "add"),
    ):
        assert undone(record, [{"op": op, "path": path, "value": 1}]) is None
    for patch in ("@@ -1,1 +1,1 @@\n-x\n+y\n", "nonsense", "@@ -9,1 +9,1 @@\n-a\n+b\n"):
        assert undone(record, [{"op": "change", "path": "/text", "value": patch}]) is None
    assert undone(record, [{"op": "change", "path": "/text", "value": "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"}]) == {
        **record,
        "text": "axc",
    }
