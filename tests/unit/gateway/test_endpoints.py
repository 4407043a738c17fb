"""The table itself: README.md is printed from it, nothing is in it twice, every rpc of it exists."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from sp00ky.gateway import endpoints
from sp00ky.gateway.endpoints import ENDPOINTS, endpoint_list
from sp00ky.gateway.errors import HTTP_STATUS
from sp00ky.gateway.exposure import decide_bind, split_address
from sp00ky.gateway.upstream import Rpc, Upstream
from sp00ky.proto.faults import Code, Fault


def test_the_readme_shows_the_table_as_it_is() -> None:
    readme = Path(endpoints.__file__).with_name("README.md").read_text(encoding="utf-8")
    shown = readme.partition("<!-- endpoints -->\n")[2].partition("<!-- /endpoints -->")[0]
    assert shown == endpoint_list(), "print it: python -m sp00ky.gateway.endpoints"


def test_no_endpoint_is_there_twice() -> None:
    names = [(endpoint.method, re.sub(r"\{\w+\}", "{}", endpoint.path)) for endpoint in ENDPOINTS]
    assert len(set(names)) == len(names)


def test_every_endpoint_is_whole() -> None:
    for endpoint in ENDPOINTS:
        assert (endpoint.rpc is None) == (endpoint.request is None), endpoint.name
        assert endpoint.open_on <= endpoint.apis, endpoint.name
        assert endpoint.summary, endpoint.name


def test_every_code_has_a_status() -> None:
    assert set(HTTP_STATUS) == set(Code)


async def test_every_rpc_has_a_stub() -> None:
    upstream = Upstream("127.0.0.1:1", "")
    assert set(upstream._calls) == set(Rpc)
    async with asyncio.timeout(5):
        await upstream.close()


@pytest.mark.parametrize(
    ("address", "is_default", "secret", "insecure", "bound"),
    [
        ("0.0.0.0:9667", True, "", False, "127.0.0.1:9667"),
        ("0.0.0.0:9667", True, "", True, "127.0.0.1:9667"),
        ("0.0.0.0:9667", True, "s", False, "0.0.0.0:9667"),
        ("0.0.0.0:9667", False, "s", False, "0.0.0.0:9667"),
        ("0.0.0.0:9667", False, "", True, "0.0.0.0:9667"),
        ("127.0.0.1:0", False, "", False, "127.0.0.1:0"),
        ("localhost:80", False, "", False, "localhost:80"),
        ("[::1]:80", False, "", False, "[::1]:80"),
        ("127.9.9.9:80", False, "", False, "127.9.9.9:80"),
        ("unix:/run/x.sock", False, "", False, "unix:/run/x.sock"),
        ("0.0.0.0:9667", False, "", False, None),
        (":9667", False, "", False, None),
        ("[::]:9667", False, "", False, None),
        ("10.0.0.1:9667", False, "", False, None),
        ("mesh.example:9667", False, "", False, None),
    ],
)
def test_g10_closed_by_default(address: str, is_default: bool, secret: str, insecure: bool, bound: str | None) -> None:
    if bound is not None:
        assert decide_bind(address, is_default, secret, insecure) == bound
        return
    with pytest.raises(Fault, match="without SPKY_AUTH_SECRET"):
        decide_bind(address, is_default, secret, insecure)


@pytest.mark.parametrize("address", ["", "host", "host:", "host:x", "host:70000", "host:-1", "::1:80", "host:１"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Fault, match="is not host:port"):
        split_address(address)
