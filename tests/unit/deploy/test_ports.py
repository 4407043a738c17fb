"""Free ports stay with the process they were chosen for."""

from __future__ import annotations

import socket

import pytest
from sp00ky.deploy.ports import ephemeral_floor, free_ports, require_free
from sp00ky.proto.faults import Code, Fault


def test_ports_are_different_free_and_never_handed_to_outgoing_connections() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) < ephemeral_floor()
    for port in ports:
        require_free(f"127.0.0.1:{port}")


def test_a_taken_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Fault, match=f"cannot listen on {place}: address already in use") as raised:
            require_free(place)
    assert raised.value.code == Code.UNAVAILABLE
    require_free(place)
