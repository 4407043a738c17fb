"""I7: where a job may go. Paths that would leave the backend, and addresses that no name may lead to."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.jobs.backend import Backend, backends_of
from sp00ky.proto.jobs.row import Request
from sp00ky.proto.jobs.target import joined, may_connect, trusted_networks
from sp00ky.proto.values.kinds import NONE
from sp00ky.ssp.jobs.http import HttpBackend
from yarl import URL

from tests.harness.job_backend import job_backend

BASE = "http://shop.example:8080/api"
BAD_PATHS = [
    *("@evil.example/x", "//evil.example/x", "/a//evil.example", "\\\\evil", "/\\evil", "http://evil.example/"),
    *("/../admin", "/a/../../b", "/%2e%2e/admin", "/a/%2E./b", "/..;/x".replace(";", ""), "/a%2f..%2fb", "/a%5cb"),
    *(
        "",
        "x",
        ":80/",
        ".evil.example/",
        "/a b",
        "/a\r\nHost: evil",
        "/a\0",
        "/a#frag",
        "/" + "a" * 3000,
        "file:///etc",
    ),
    *("gopher://x", "?x=1", "/a%0d%0aX: y", "/./a"),
]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_i7_a_path_cannot_leave_its_backend(path: str) -> None:
    with pytest.raises(Fault, match="cannot be called"):
        joined(BASE, path)


@pytest.mark.parametrize(
    "path", ["/charge", "/a/b.c-d_e~f", "/u@host/x", "/é", "/a?next=http://evil/", "/a:b", "/a%20b"]
)
def test_a_plain_path_is_joined(path: str) -> None:
    url = URL(joined(BASE, path), encoded=True)
    assert (url.scheme, url.host, url.port, url.user) == ("http", "shop.example", 8080, None)
    assert url.raw_path.startswith("/api/")


@given(st.text(alphabet=st.sampled_from("/\\.@:?#%25eEfFcC ;=&aé[]\n\t"), max_size=24))
def test_i7_whatever_the_path_the_host_is_the_backends(path: str) -> None:
    try:
        url = URL(joined(BASE, path), encoded=True)
    except Fault as fault:
        assert fault.code is Code.INVALID
        return
    assert (url.scheme, url.host, url.port, url.user) == ("http", "shop.example", 8080, None)
    assert URL(str(url)).path.startswith("/api/")  # also as read by somebody who decodes and normalises


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
        ),
        *(
            "::1",
            "::",
            "fe80::1",
            "fe80::1%eth0",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
        ),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "not an address", ""),
    ],
)
def test_i7_special_addresses_are_refused(address: str) -> None:
    assert not may_connect(address, trusted_networks(BASE, []))


@pytest.mark.parametrize(
    "address", ["10.0.0.7", "192.168.1.1", "172.17.0.2", "93.184.216.34", "2606:2800::1", "fd00::1"]
)
def test_other_addresses_are_allowed(address: str) -> None:
    assert may_connect(address, [])


def test_what_is_listed_or_configured_itself_is_allowed() -> None:
    assert may_connect("127.0.0.1", trusted_networks("http://127.0.0.1:9", []))
    assert may_connect("::1", trusted_networks("http://localhost", []))
    assert may_connect("169.254.10.1", trusted_networks(BASE, ["169.254.10.0/24"]))
    assert not may_connect("169.254.169.254", trusted_networks("http://localhost", ["169.254.10.0/24"]))
    with pytest.raises(Fault, match="allowed_networks"):
        trusted_networks(BASE, ["everywhere"])


class Resolver(AbstractResolver):
    """Answers each question with the next of its addresses: a name that is bound anew."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        return


def request(url: str, timeout_s: float = 5.0) -> Request:
    return Request(url, b"{}", timeout_s, "job:a", 1)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1"])
async def test_i7_a_name_that_leads_inside_is_not_connected_to(address: str) -> None:
    async with job_backend() as served:
        port = served.url.rpartition(":")[2]
        backend = HttpBackend(Backend(name="a", table="job", base_url=f"http://shop.example:{port}"), Resolver(address))
        answer = await backend.call(request(f"http://shop.example:{port}/x"))
        await backend.close()
    assert answer.code == 0 and "no job may go" in answer.reason and served.calls == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "localhost.localdomain"])
async def test_i7_other_spellings_of_loopback_are_not_connected_to(host: str) -> None:
    async with job_backend() as served:
        port = served.url.rpartition(":")[2]
        backend = HttpBackend(Backend(name="a", table="job", base_url=f"http://{host}:{port}"))
        answer = await backend.call(request(f"http://{host}:{port}/x"))
        await backend.close()
    assert answer.code == 0 and served.calls == []


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest", "/elsewhere", "http://[::1]:1/", "file:///etc/passwd"])
async def test_i7_redirects_are_not_followed(to: str) -> None:
    async def redirect(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": to})

    async with job_backend() as served:
        served.answer = redirect
        backend = HttpBackend(Backend(name="a", table="job", base_url=served.url, auth_token="s3cret"))
        answer = await backend.call(request(served.url + "/x"))
        await backend.close()
    assert (answer.code, len(served.calls)) == (307, 1) and "not followed" in answer.reason


async def test_an_answer_is_bounded_in_bytes_and_in_time() -> None:
    async def much(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 5000)

    async with job_backend() as served:
        served.answer = much
        backend = HttpBackend(Backend(name="a", table="job", base_url=served.url, response_bytes_max=1000))
        large = await backend.call(request(served.url + "/x"))
        served.held.clear()
        slow = await backend.call(request(served.url + "/x", 0.1))
        await backend.close()
    assert large.ok and large.result is NONE and "more than 1000 bytes" in large.note
    assert slow.reason == "no answer within 0.1 s"


async def test_a_backend_that_is_not_there_is_a_reason() -> None:
    async with job_backend() as served:
        gone = served.url
    backend = HttpBackend(Backend(name="a", table="job", base_url=gone))
    answer = await backend.call(request(gone + "/x"))
    await backend.close()
    assert answer.code == 0 and "Connect" in answer.reason and not answer.speaks_for_backend


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[", "not JSON"),
        ("3", "not an array"),
        ('{"tables": {}}', "job_tables"),
        ('[{"name": "a", "table": "job"}]', "base_url"),
        ('[{"name": "a", "table": "job", "base_url": "http://u:p@h"}]', "no address"),
        ('[{"name": "a", "table": "job", "base_url": "http://h/?x"}]', "no address"),
        ('[{"name": "a", "table": "job", "base_url": "http://h/a/../b"}]', "segment"),
        ('[{"name": "a", "table": "job", "base_url": "ftp://h"}]', "no address"),
        ('[{"name": "a", "table": "job; REMOVE", "base_url": "http://h"}]', "no name"),
        ('[{"name": "a", "table": "_00_query", "base_url": "http://h"}]', "no name"),
        ('[{"name": "a", "table": "job", "base_url": "http://h", "tiemout": 1}]', "tiemout"),
        ('[{"name": "a", "table": "job", "base_url": "http://h", "timeout": 0}]', "timeout"),
        ('[{"name": "a", "table": "job", "base_url": "http://h", "auth_token": "a\\nb"}]', "auth_token"),
        ('[{"name": "a", "table": "t", "url": "http://h"}, {"name": "b", "table": "t", "url": "http://h"}]', "two"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_refused(config: str, said: str) -> None:
    with pytest.raises(Fault, match=said) as refused:
        backends_of(config)
    assert refused.value.code is Code.INVALID


def test_each_form_of_the_configuration_is_the_same_model() -> None:
    array = '[{"name": "job", "table": "job", "base_url": "http://h", "timeout": 3, "timeout_overridable": true}]'
    tables = '{"job_tables": {"job": {"base_url": "http://h", "timeout": 3, "timeout_overridable": true}}}'
    services = '[{"name": "job", "table": "job", "url": "http://h", "timeout": 3, "timeout_overridable": true}]'
    deploy = {"timeout": 3, "timeoutOverridable": True}
    method = {"type": "outbox", "table": "job", "schema": "x.surql"}
    apps = {
        "job": {"type": "backend", "baseUrl": "http://h", "deploy": deploy, "method": method, "spec": "x.yml"},
        "site": {"type": "frontend"},
    }
    found = [backends_of(array), backends_of(tables), backends_of(services=services), backends_of(apps=apps)]
    assert all(each == found[0] and len(each) == 1 for each in found)
    both = backends_of(array, '[{"name": "job", "url": "http://h", "healthcheck": "/up"}]')
    assert both[0].healthcheck == "/up" and both[0].table == "job"
