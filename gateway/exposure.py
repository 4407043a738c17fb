"""Where a server may listen, decided before it does (G10: closed by default).

| secret | address           | decision                                        |
|--------|-------------------|-------------------------------------------------|
| set    | any               | as given                                        |
| unset  | the default       | the same port on loopback                       |
| unset  | loopback, stated  | as given                                        |
| unset  | outside, stated   | refused, unless `SPKY_INSECURE_DEV=1` was set   |

A host name other than `localhost` counts as outside: what it resolves to is not known here.
"""

from __future__ import annotations

import ipaddress

from sp00ky.proto.faults import Code, Fault

LOOPBACK = "127.0.0.1"


def split_address(address: str) -> tuple[str, int]:
    """`host:port`, `:port`, `[v6]:port` → host without brackets (empty: every interface) and port. Raises INVALID."""
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    bracketed = bare != host
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535 or (":" in bare and not bracketed):
        raise Fault(Code.INVALID, f'listen address "{address}" is not host:port', "for example 127.0.0.1:9667")
    return bare, int(port)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def decide_bind(
    listen_addr: str, is_default: bool, secret: str, insecure_dev: bool, secret_name: str = "SPKY_AUTH_SECRET"
) -> str:
    """The address to bind: the one given, or its port on loopback. Raises Fault INVALID, FORBIDDEN."""
    if listen_addr.startswith("unix:"):
        return listen_addr
    host, port = split_address(listen_addr)
    if secret.strip() or is_loopback(host):
        return listen_addr
    if is_default:
        return f"{LOOPBACK}:{port}"
    if insecure_dev:
        return listen_addr
    raise Fault(
        Code.FORBIDDEN,
        f'refusing to listen on "{listen_addr}" without {secret_name}: anyone who reaches it could read and write',
        f"set {secret_name}, listen on 127.0.0.1, or set SPKY_INSECURE_DEV=1 to accept the risk",
    )
