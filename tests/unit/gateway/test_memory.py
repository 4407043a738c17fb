"""L8 at the edge: a server that is short of memory takes no new stream, and serves what it has."""

from __future__ import annotations

import pytest

from tests.harness.served_gateway import Serve


@pytest.mark.parametrize(("memory_bytes_max", "status"), [(1, 429), (1 << 50, 503)])
async def test_l8_a_server_short_of_memory_takes_no_new_stream(
    serve: Serve, memory_bytes_max: int, status: int
) -> None:
    """With memory it is the view's owner that is missing here, which is asked for next."""
    client, _ = await serve("scheduler", memory_bytes_max=memory_bytes_max)
    async with client.get("/view/v/events") as response:
        assert (response.status == 429) == (status == 429)
        if status == 429:
            body = await response.json()
            assert (body["code"], response.headers["Retry-After"]) == ("SPKY_OVERLOADED", "5")
            assert "no memory" in body["message"]
    async with client.get("/views") as response:
        assert response.status == 200, "what is no stream is answered"
    async with client.get("/metrics/prometheus", headers={"Accept": "text/plain"}) as response:
        rejected = 'reason="memory"' in await response.text()
    assert rejected == (status == 429)
