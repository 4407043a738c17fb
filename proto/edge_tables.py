"""Where the edges of a user's views lie: each user in a table of his own (`dedicated`), or all in one (`single`).

    user:ann          _00_list_ref_user_ann
    user:7            _00_list_ref_user_7
    user:`7`          _00_list_ref_user_<digest>        another record than user:7
    person:ann        _00_list_ref_person_<digest>
    no user           _00_list_ref                      in either mode; no record user may read those edges

Invariant: two records never share a table, whatever keys their owners may choose; a key that could spell another
record's digest is digested itself. A name is made of letters, digits and underscores alone.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from sp00ky.proto.values.kinds import RecordId
from sp00ky.proto.values.pack import pack

SHARED = "_00_list_ref"
USER_TABLE = "user"
KEY_CHARS_MAX = 64  # a longer key is digested; of a table's name as many are kept
_PLAIN = re.compile(r"[A-Za-z0-9_]+")
_LIKE_A_DIGEST = re.compile(r"(?:.*_)?[0-9a-f]{32}")


def edge_table(auth: RecordId | None, *, dedicated: bool) -> str:
    """The table that holds the edges of the views of `auth`; of views without a user for None."""
    return dedicated_table(auth) if dedicated and auth is not None else SHARED


def dedicated_table(auth: RecordId) -> str:
    """The table of this user's own; never the shared one."""
    if auth.table == USER_TABLE and (plain := _plain_key(auth.key)):
        return f"{SHARED}_{USER_TABLE}_{plain}"
    table = re.sub(r"[^A-Za-z0-9_]", "_", auth.table)[:KEY_CHARS_MAX]
    digest = blake2b(pack(auth), digest_size=16, person=b"edge table").hexdigest()
    return f"{SHARED}_{table}_{digest}"


def _plain_key(key: object) -> str:
    """The key as a name has it; empty where it has to be digested. Of 7 and '7', which are two records, 7 is plain."""
    if isinstance(key, int) and not isinstance(key, bool) and key >= 0:
        return str(key)
    if not isinstance(key, str) or len(key) > KEY_CHARS_MAX or key.isdigit():
        return ""
    return key if _PLAIN.fullmatch(key) and not _LIKE_A_DIGEST.fullmatch(key) else ""
