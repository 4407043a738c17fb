"""Behind proxies a caller is who the nearest trusted one says; nobody can choose his own address."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from sp00ky.gateway.connections import Connections
from sp00ky.gateway.exchange import Limits
from sp00ky.gateway.proxies import Proxies
from sp00ky.gateway.telemetry import Telemetry
from sp00ky.proto.faults import Code, Fault

from tests.harness.served_gateway import Serve

OWN = "127.0.0.1"


def client_of(trusted: str, *said: str, remote: str = OWN) -> str:
    headers = CIMultiDict([("X-Forwarded-For", each) for each in said])
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)
    return Proxies(trusted).client_of(request)


@pytest.mark.parametrize(
    ("trusted", "said", "client"),
    [
        ("", ("10.0.0.9",), OWN),
        ("10.0.0.0/8", ("10.0.0.9",), OWN),
        (OWN, (), OWN),
        (OWN, ("203.0.113.7",), "203.0.113.7"),
        (OWN, ("1.1.1.1, 203.0.113.7",), "203.0.113.7"),
        (OWN, ("1.1.1.1", "203.0.113.7"), "203.0.113.7"),
        (f"{OWN}, 10.0.0.0/8", ("1.1.1.1, 203.0.113.7, 10.1.2.3",), "203.0.113.7"),
        (f"{OWN},10.0.0.0/8", ("10.1.2.3",), "10.1.2.3"),
        (OWN, ("nonsense",), OWN),
        (OWN, ("1.1.1.1, nonsense",), OWN),
        (f"{OWN}/8", (", ".join(["203.0.113.7"] + ["127.0.0.2"] * 99),), "127.0.0.2"),
        ("::1", ("2001:db8::7",), OWN),
    ],
)
def test_the_nearest_address_that_is_no_trusted_proxys(trusted: str, said: tuple[str, ...], client: str) -> None:
    assert client_of(trusted, *said) == client


def test_addresses_of_version_6_too() -> None:
    assert client_of("::1", "2001:db8::7", remote="::1") == "2001:db8::7"


def test_what_is_no_network_refuses_the_start() -> None:
    with pytest.raises(Fault) as caught:
        Proxies("10.0.0.0/8, home")
    assert caught.value.code is Code.INVALID and '"home"' in caught.value.message


@pytest.mark.parametrize(("trusted", "second"), [("", 429), (OWN, 200)])
async def test_rates_count_to_the_client_behind_a_trusted_proxy(serve: Serve, trusted: str, second: int) -> None:
    client, _ = await serve("scheduler", rate_read=1, trusted_proxies=trusted)
    statuses = []
    for number in range(6):
        async with client.get("/views", headers={"X-Forwarded-For": f"203.0.113.{number}"}) as response:
            statuses.append(response.status)
    assert statuses[0] == 200 and statuses[-1] == second


def test_a_trusted_proxy_may_have_as_many_connections_as_there_are() -> None:
    for trusted, refusal in (("", "address"), (OWN, "")):
        connections = Connections(Limits(connections_per_address_max=1), Telemetry(), object, Proxies(trusted))
        assert connections.refusal(OWN) == ""
        connections.opened(OWN)
        assert connections.refusal(OWN) == refusal
