"""The running mesh as its HTTP API tells of it: scheduler, SSPs, views, and what could not be applied.

A view that has failed is its owner's mistake, never the mesh's: it is a warning.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from sp00ky.deploy.cli_client import counted
from sp00ky.deploy.doctor.finding import Finding, fail, ok, warn
from sp00ky.deploy.remote import OF_SCHEDULER, Remote
from sp00ky.gateway.exposure import is_loopback
from sp00ky.proto.faults import Code, Fault

READY: Final = "ready"
NAMED_MAX: Final = 10
_REFUSED: Final = (Code.UNAUTHENTICATED, Code.FORBIDDEN)

Asks = Callable[[str, str], Remote]


def entities_at(url: str) -> list[dict[str, Any]]:
    """What an API of the mesh that answers there tells of: itself first. Empty where none answers."""
    try:
        told = Remote(url).get("/info")
        return told if isinstance(told, list) else []
    except Fault:
        return []


def mesh_findings(url: str, secret: str, version: str, asks: Asks = Remote) -> Iterator[Finding]:
    """`version`: of this program."""
    remote = asks(url, secret)
    try:
        entities: list[dict[str, Any]] = remote.get("/info")
    except Fault as fault:
        yield fail("scheduler", fault.message, fault.hint or "start it: `spky serve scheduler`")
        return
    if not isinstance(entities, list) or not entities:
        yield fail("scheduler", f"{remote.url} is not an API of the mesh", OF_SCHEDULER)
        return
    own = entities[0]
    detail = f": {own['detail']}" if own.get("detail") else ""
    if own["entity"] == "ssp":
        said = f"{remote.url} is an SSP's API: no scheduler, dead letters or other SSPs are seen from there"
        yield warn("scheduler", said, f"{OF_SCHEDULER}, unless this one runs by itself")
    if own["status"] == READY:
        yield ok(own["entity"], f"{own['id']} at {remote.url} is ready")
    else:
        yield fail(own["entity"], f"{own['id']} is {own['status']}{detail}", "wait while it loads; else see its log")
    if own["version"] != version:
        yield warn(
            "program", f"the {own['entity']} is of version {own['version']}, this is {version}", "upgrade the older one"
        )
    ssps = [entity for entity in entities if entity["entity"] == "ssp"]
    yield from _ssp_findings(ssps, own)
    yield from _secret_findings(own["entity"], remote, ssps, asks, secret)
    if own["entity"] != "ssp":
        yield from _letters(remote)
    yield from _views(remote)


def _ssp_findings(ssps: list[dict[str, Any]], own: dict[str, Any]) -> Iterator[Finding]:
    if own["entity"] == "ssp":
        return
    if not ssps:
        yield fail("ssps", "the scheduler knows none", "start one: `spky serve ssp --scheduler-url …`")
    for ssp in ssps:
        said = f"{ssp['id']} is {ssp['status']}"
        if ssp["status"] == READY:
            yield ok("ssps", f"{said}, {counted(ssp['views'], 'view')}")
        else:
            level = warn if any(other["status"] == READY for other in ssps) else fail
            yield level("ssps", said, "wait while it loads; one that is stale is gone or cannot reach the scheduler")


def _secret_findings(
    entity: str, remote: Remote, ssps: list[dict[str, Any]], asks: Asks, secret: str
) -> Iterator[Finding]:
    """Every service takes this secret, and those off loopback take nothing without one."""
    places = {entity: remote.url} | {ssp["id"]: ssp["url"] for ssp in ssps if ssp.get("url")}
    for name, url in places.items():
        try:
            asks(url, secret).get("/views" if name == entity else "/metrics")
        except Fault as fault:
            if fault.code in _REFUSED:
                yield fail("secrets", f"{name} refuses the secret", "give all services the same SPKY_AUTH_SECRET")
            else:
                yield warn("ports", f"{name} at {url}: {fault.message}", "clients that are sent there do not reach it")
            continue
        if not is_loopback(urlsplit(url).hostname or "") and _is_open(asks(url, ""), name == entity):
            yield fail("secrets", f"{name} at {url} answers without a secret", "set SPKY_AUTH_SECRET everywhere")
        else:
            yield ok("ports", f"{name} answers at {url}")


def _is_open(remote: Remote, is_asked: bool) -> bool:
    try:
        remote.get("/views" if is_asked else "/metrics")
    except Fault:
        return False
    return True


def _letters(remote: Remote) -> Iterator[Finding]:
    try:
        total = remote.get("/dead-letters", limit="1")["total"]
    except Fault as fault:
        yield warn("dead letters", fault.message, "ask with the admin's secret: --secret")
        return
    if total:
        todo = "see `spky dlq list`, then retry or drop them"
        yield warn("dead letters", f"{counted(total, 'change')} could not be applied", todo)
    else:
        yield ok("dead letters", "none")


def _views(remote: Remote) -> Iterator[Finding]:
    try:
        views: list[dict[str, Any]] = remote.get("/views")
    except Fault as fault:
        yield warn("views", fault.message, "ask with the services' secret: --secret")
        return
    failed = [view for view in views if view["state"] == "failed"]
    for view in failed[:NAMED_MAX]:
        reason = f": {view['reason']}" if view.get("reason") else ""
        todo = f"see `{_command('get', view)}`; register it with another query, or `{_command('unregister', view)}`"
        yield warn("views", f"{_named(view)} failed{reason}", todo)
    if len(failed) > NAMED_MAX:
        yield warn("views", f"{len(failed) - NAMED_MAX} more failed", "see `spky view list`")
    # Only a view that is not kept incrementally has a reason for its mode; else it is why its edges are not written.
    held = [view for view in views if view["mode"] == "incremental" and view.get("reason") and view not in failed]
    for view in held[:NAMED_MAX]:
        todo = f"mend that, it is tried again; or `{_command('unregister', view)}`"
        yield fail("views", f"edges of {_named(view)} are not written: {view['reason']}", todo)
    late = sum(view["state"] == "lagging" for view in views)
    if late:
        todo = "more SSPs, or fewer views that are run whole: `spky view list`"
        yield warn("views", f"{counted(late, 'view')} lagging behind", todo)
    if not failed and not held and not late:
        yield ok("views", f"{len(views)}, none failed")


def _named(view: dict[str, Any]) -> str:
    return f'"{view["id"]}"' + (f" of {view['auth']}" if view.get("auth") else "")


def _command(what: str, view: dict[str, Any]) -> str:
    """As it may be typed."""
    words = ["spky", "view", what, view["id"], *(["--auth", view["auth"]] if view.get("auth") else [])]
    return shlex.join(words)
