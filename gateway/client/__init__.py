"""The mesh for Python programs.

    async with Mesh("http://127.0.0.1:7667") as mesh:
        await mesh.register("adults", "SELECT * FROM person WHERE age >= 18 ORDER BY name")
        async for delta in mesh.watch("adults"):
            print(delta.added, delta.removed, delta.rows)

A watch begins with the whole result and then tells what changes. It comes back by itself when a connection breaks, with
the revision that it had, so that nothing is left out and nothing is told twice.
"""

from sp00ky.gateway.client.delta import Delta, Step
from sp00ky.gateway.client.mesh import Mesh
from sp00ky.gateway.client.views import Registration, View
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.folding import Member

__all__ = ["Code", "Delta", "Fault", "Member", "Mesh", "Registration", "Step", "View"]
