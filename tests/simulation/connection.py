"""`proto.database.Database` over the simulated network: one process's connection to the model database.

A request travels, is carried out at one instant, and its answer travels back; any of the three can fail, and the caller
cannot tell which. What was sent before a pause of the process, or before its death, is carried out all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sp00ky.proto.database import QueryError, StatementResult, cause_of
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Value

from tests.simulation.kernel import ProcessLoop, Violation, elapse
from tests.simulation.statements import execute
from tests.simulation.surreal import CONFLICT, ModelSurreal
from tests.simulation.wire import KEEPALIVE_S, Network

SURREAL = "surreal"


class Troubles:
    """How the database behaves beyond the network: changed by chaos."""

    def __init__(self) -> None:
        self.conflict_share = 0.0
        self.refused_share = 0.0
        self.late_share = 0.0  # requests that arrive much later than sent

    def clear(self) -> None:
        self.conflict_share = self.refused_share = self.late_share = 0.0


class SimDatabase:
    def __init__(self, network: Network, surreal: ModelSurreal, troubles: Troubles, process: ProcessLoop) -> None:
        self.url, self.namespace, self.database = "ws://surreal/rpc", "test", surreal.database
        self.connected = False
        self._network, self._surreal, self._troubles, self._process = network, surreal, troubles, process
        self._session: dict[str, Value] = {}
        self._generation = 0
        self._pending: dict[asyncio.Future[Any], None] = {}

    # --- the product's side ---

    async def connect(self) -> None:
        if self.connected:
            return
        await elapse(self._network.delay())
        if not self._reachable():
            raise Fault(Code.UNAVAILABLE, "database cannot be reached", "is it running?")
        self.connected = True
        self._generation += 1
        self._session = {}

    async def query(
        self, surql: str, vars: Mapping[str, Value] | None = None, *, conflict_retries: int = 0
    ) -> list[Value]:
        for attempt in range(conflict_retries + 1):
            results = await self.query_raw(surql, vars)
            failure = cause_of(results)
            if failure is None:
                return [result.result for result in results]
            if not failure.retryable or attempt == conflict_retries:
                raise failure
            await elapse(0.002 * 2**attempt)
        raise AssertionError("unreachable")

    async def query_raw(self, surql: str, vars: Mapping[str, Value] | None = None) -> list[StatementResult]:
        results: list[StatementResult] = await self._request(surql, dict(vars or {}))
        return results

    async def rpc(self, method: str, params: Sequence[Value]) -> Value:
        if not self.connected:
            await self.connect()
        assert method == "let"
        self._session[str(params[0])] = params[1]
        return None

    async def close(self) -> None:
        self.drop()

    # --- the network's side ---

    def drop(self) -> None:
        """The socket is gone; who waits on it does not know what became of his request."""
        self.connected = False
        pending, self._pending = self._pending, {}
        for answer in pending:
            if not answer.done() and self._process.alive:
                answer.set_exception(Fault(Code.UNAVAILABLE, "connection to the database was lost"))

    def _reachable(self) -> bool:
        name = self._process.name
        cut = self._network.is_cut(name, SURREAL) or self._network.is_cut(SURREAL, name)
        return self._surreal.is_up and not cut

    async def _request(self, text: str, variables: dict[str, Value]) -> Any:
        if not self.connected:
            await self.connect()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[answer] = None
        network, random = self._network, self._network.kernel.random
        delay = network.delay()
        if self._troubles.late_share and random.random() < self._troubles.late_share:
            network.count("late request")
            delay += random.random() * 6.0
        network.kernel.after(delay, self._arrive, self._generation, text, variables, answer)
        try:
            async with asyncio.timeout(8.0):
                return await answer
        except TimeoutError:
            raise Fault(Code.TIMEOUT, "the database did not answer") from None
        finally:
            self._pending.pop(answer, None)

    def _arrive(self, generation: int, text: str, variables: dict[str, Value], answer: asyncio.Future[Any]) -> None:
        """The request is in the database, whatever has become of its sender."""
        network, name = self._network, self._process.name
        if not self._surreal.is_up or network.is_cut(name, SURREAL):
            network.count("lost request")
            network.kernel.after(KEEPALIVE_S * network.kernel.random.random(), self._lose, generation)
            return
        if self._lost_share():
            network.count("lost request")
            self._lose(generation)
            return
        outcome = self._carry_out(text, variables)
        if network.is_cut(SURREAL, name) or self._lost_share():
            network.count("lost answer")
            network.kernel.after(KEEPALIVE_S * network.kernel.random.random(), self._lose, generation)
            return
        network.kernel.after(network.delay(), self._answered, outcome, answer)

    def _lost_share(self) -> bool:
        share = self._network.weather.lost_share
        return bool(share) and self._network.kernel.random.random() < share

    def _carry_out(self, text: str, variables: dict[str, Value]) -> Any:
        troubles, random = self._troubles, self._network.kernel.random
        if troubles.conflict_share and random.random() < troubles.conflict_share:
            self._network.count("conflict")
            return [StatementResult(False, None, CONFLICT)]
        if troubles.refused_share and random.random() < troubles.refused_share:
            self._network.count("refusal")
            return Fault(Code.UNAVAILABLE, "the database is overloaded")
        try:
            return execute(self._surreal, text, variables, self._session)
        except QueryError as error:
            return error
        except Violation as violation:
            self._network.kernel.errors.append(violation)
            return violation

    def _answered(self, outcome: Any, answer: asyncio.Future[Any]) -> None:
        if answer.done() or not self._process.alive:
            return
        if isinstance(outcome, BaseException):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    def _lose(self, generation: int) -> None:
        if generation == self._generation:
            self.drop()
