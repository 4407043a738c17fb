"""SurrealDB's own parser as a yardstick: it defines a function around a query and prints the body back.

Nothing is executed, so unknown tables and functions with effects do no harm; the printed body is SurrealDB's own
canonical text, in which two queries of the same meaning are equal.
"""

from __future__ import annotations

from typing import Any

from surrealdb.data.cbor import decode, encode
from surrealdb_embedded import SyncEmbeddedDB

HEAD = "DEFINE FUNCTION fn::probe() { RETURN "
TAIL = " } PERMISSIONS FULL"


class EngineParser:
    """One embedded engine; `canonical` is its text for a query, or None where it refuses."""

    def __init__(self) -> None:
        self.engine = SyncEmbeddedDB("mem://")
        self._call("use", ["language", "language"])

    def canonical(self, text: str) -> str | None:
        reply = self._call("query", [f"DEFINE FUNCTION OVERWRITE fn::probe() {{ RETURN {text}\n }}; INFO FOR DB", {}])
        if "error" in reply or reply["result"][0]["status"] != "OK":
            return None
        info = reply["result"][1]
        if info["status"] != "OK":  # a text that it prints as something else than it read
            return None
        body = info["result"]["functions"]["probe"]
        return str(body).removeprefix(HEAD).removesuffix(TAIL)

    def accepts(self, text: str) -> bool:
        """Whether it parses; a text may parse and still be no body for a stored function."""
        return "error" not in self._call("query", [f"DEFINE FUNCTION OVERWRITE fn::probe() {{ RETURN {text}\n }}", {}])

    def refusal(self, text: str) -> str:
        """Why the text is not one statement, empty if it is. Nothing runs: the transaction has failed before."""
        reply = self._call("query", [f"BEGIN; THROW 'unread'; {text}\n; COMMIT", {}])
        if "error" in reply:
            return str(reply["error"]["message"]).split("\n")[0].removeprefix("Parse error: ")
        statements = len(reply["result"]) - 3
        return "" if statements == 1 else f"{statements} statements"

    def _call(self, method: str, params: list[object]) -> dict[str, Any]:
        reply = decode(self.engine.execute(encode({"id": 1, "method": method, "params": params})))
        assert isinstance(reply, dict)
        return reply
