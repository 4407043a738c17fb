"""The coordinator's behaviour as text: `coordinator/*.txt`, one story each."""

from __future__ import annotations

from pathlib import Path

import pytest
from sp00ky.proto.revision import Epoch, Seq, StoreId
from sp00ky.proto.v1 import common_pb2, replication_pb2
from sp00ky.proto.values.pack import pack
from sp00ky.scheduler.changes import canonical_change
from sp00ky.scheduler.coordinator import events
from sp00ky.scheduler.coordinator.coordinator import Coordinator, CoordinatorConfig
from sp00ky.scheduler.coordinator.events import ViewKey
from sp00ky.scheduler.coordinator.ready import Ready

from tests.harness.datadriven import Command, run_scenario

STORIES = sorted((Path(__file__).parent / "coordinator").glob("*.txt"))
STORE = StoreId("00000001")


class Stage:
    """A coordinator, the store's part of it (meta and head), and streams by the SSP's name."""

    def __init__(self) -> None:
        self.metas: dict[bytes, bytes] = {}
        self.head = Seq(0)
        self.epoch = 0
        self.now_ms = 0
        self.options: dict[str, str] = {}
        self.coordinator = self._coordinator()
        self.sessions: dict[str, int] = {}
        self.next_session = 0
        self.tickets = 0
        self.ready = Ready()

    def _coordinator(self) -> Coordinator:
        self.epoch += 1
        config = CoordinatorConfig(
            STORE,
            Epoch(self.epoch),
            load_balance=self.options.get("balance", "round_robin"),
            heartbeat_timeout_ms=int(self.options.get("timeout", 3000)),
            bootstrap_timeout_ms=int(self.options.get("bootstrap", 10_000)),
            idempotency_keys_max=int(self.options.get("keys", 100)),
            quantum_ms=int(self.options.get("quantum", 0)),
            lag_entries_max=int(self.options.get("lag", 10_000)),
            moves_inflight_max=int(self.options.get("inflight", 2)),
            rebalances=self.options.get("rebalance", "no") == "yes",
        )
        return Coordinator(config, self.head, sorted(self.metas.items()), self.now_ms)

    def run(self, command: Command) -> str:
        answer = getattr(self, "do_" + command.name.replace("-", "_"))(command)
        if answer is not None:
            return str(answer)
        return self._settle() if command.option("hold") != "yes" else "held"

    def _settle(self) -> str:
        """What the driver does: commit, sync, advance; then show what would be released."""
        ready = self.coordinator.ready()
        for meta in ready.meta:
            if meta.value is None:
                self.metas.pop(meta.name, None)
            else:
                self.metas[meta.name] = meta.value
        self.head = Seq(self.head + len(ready.entries))
        self.coordinator.advance(self.head)
        return "\n".join(shown(ready))

    def _ticket(self) -> int:
        self.tickets += 1
        return self.tickets

    # --- commands

    def do_start(self, command: Command) -> str | None:
        """Begin, or begin again from what was kept."""
        self.options.update(command.options)
        self.coordinator = self._coordinator()
        self.sessions.clear()
        views, ssps = len(self.coordinator.views), list(self.coordinator.ssps)
        return f"epoch {self.epoch} head {self.head} views {views} ssps {ssps}"

    def do_offer(self, command: Command) -> None:
        """Each input line one transaction: `op table:key[@idempotency key]` …"""
        transactions = []
        for line in command.input.splitlines():
            changes = []
            for item in line.split():
                op, _, rest = item.partition("/")
                name, _, idempotency_key = rest.partition("@")
                table, _, key = name.partition(":")
                change = common_pb2.Change(
                    table=table,
                    op=common_pb2.Op.Value(f"OP_{op.upper()}"),
                    key=pack(key),
                    packed=b"" if op == "delete" else pack({"n": 1}),
                    idempotency_key=idempotency_key,
                )
                changes.append(canonical_change(change))
            transactions.append(changes)
        self.coordinator.step(events.ChangesOffered(self._ticket(), transactions))

    def do_register(self, command: Command) -> None:
        spec = common_pb2.ViewSpec(
            key=common_pb2.ViewKey(id=command.args[0]),
            surql=command.option("surql", "SELECT * FROM t"),
            client_id=command.option("client"),
            ttl_ms=command.number("ttl"),
        )
        self.coordinator.step(events.ViewRequested(self._ticket(), spec, command.option("shape")))

    def do_unregister(self, command: Command) -> None:
        self.coordinator.step(events.ViewAbandoned(self._ticket(), ViewKey(command.args[0])))

    def do_hello(self, command: Command) -> None:
        self.next_session += 1
        ssp_id = command.args[0]
        self.sessions[ssp_id] = self.next_session
        member = self.coordinator.ssps.get(ssp_id)
        incarnation = command.number("incarnation", member.incarnation if member else 0)
        hello = replication_pb2.Hello(
            ssp_id=ssp_id,
            store_id=command.option("store", STORE),
            applied_seq=command.number("applied"),
            incarnation=incarnation if command.option("applied") else 0,
            credit=command.number("credit", 2),
            credit_entries=command.number("entries"),
            credit_bytes=command.number("bytes"),
        )
        log_floor, floor = Seq(command.number("floor", 1)), Seq(command.number("readable"))
        self.coordinator.step(events.SspSaidHello(self.next_session, hello, log_floor, floor))

    def do_loaded(self, command: Command) -> None:
        self.coordinator.step(events.SspLoaded(self.sessions[command.args[0]]))

    def do_join(self, command: Command) -> None:
        """Hello, then loaded at once."""
        self.do_hello(command)
        self._settle()
        self.do_loaded(command)

    def do_send(self, command: Command) -> str:
        """Send one frame, up to `to` or the head."""
        session = self.sessions[command.args[0]]
        after = self.coordinator.sendable_after(session)
        if after is None:
            return "nothing to send"
        to, size = Seq(command.number("to", self.coordinator.durable_seq)), command.number("size")
        if not self.coordinator.has_room(session, to - after, size):
            return "no room"
        self.coordinator.sent_to(session, to, size)
        return f"sent {after + 1}..{to}"

    def do_follow(self, command: Command) -> None:
        """SSPs take, apply and write everything there is, one after the other; `applied` only: they write nothing."""
        for name in command.args:
            if self.coordinator.sendable_after(self.sessions[name]) is not None:
                self.coordinator.sent_to(self.sessions[name], self.coordinator.durable_seq)
            member = self.coordinator.ssps[name]
            acked, frames = Seq(member.progress.next_seq - 1), member.progress.inflight_frames
            written = Seq(command.number("written", acked))
            self.coordinator.step(events.SspAcked(self.sessions[name], acked, written, frames))

    def do_drain(self, command: Command) -> None:
        self.coordinator.step(events.DrainRequested(self._ticket(), command.args[0]))

    def do_undrain(self, command: Command) -> None:
        self.coordinator.step(events.DrainRequested(self._ticket(), command.args[0], undo=True))

    def do_resync(self, command: Command) -> None:
        self.coordinator.step(events.ResyncRequested(self._ticket(), *command.args))

    def do_ack(self, command: Command) -> None:
        applied = command.number("applied")
        self.coordinator.step(
            events.SspAcked(
                self.sessions[command.args[0]],
                Seq(applied),
                Seq(command.number("written", applied)),
                command.number("frames"),
            )
        )

    def do_beat(self, command: Command) -> None:
        """`memory` of `of` bytes is what it has until it says otherwise."""
        member = self.coordinator.ssps[command.args[0]]
        heartbeat = replication_pb2.Heartbeat(
            cpu_ratio=float(command.option("cpu", "0")),
            memory_bytes=command.number("memory", member.heartbeat.memory_bytes),
            memory_bytes_max=command.number("of", member.heartbeat.memory_bytes_max),
            applied_seq=member.progress.acked_seq,
        )
        self.coordinator.step(events.SspBeat(self.sessions[command.args[0]], heartbeat))

    def do_fell_behind(self, command: Command) -> None:
        self.coordinator.step(events.SspFellBehind(self.sessions[command.args[0]], "log was trimmed"))

    def do_lose_stream(self, command: Command) -> None:
        self.coordinator.step(events.StreamLost(self.sessions[command.args[0]]))

    def do_tick(self, command: Command) -> None:
        """`by` milliseconds in steps of a second (`pause=yes`: in one step); `alive` SSPs beat before each."""
        remaining = command.number("by", 1000)
        alive = [name for name in command.option("alive").split(",") if name]
        while remaining > 0:
            for name in alive:
                self.do_beat(Command("beat", [name]))
            step = remaining if command.option("pause") else min(1000, remaining)
            remaining -= step
            self.now_ms += step
            self.coordinator.step(events.Ticked(self.now_ms, 1_700_000_000_000 + self.now_ms))

    def do_show(self, command: Command) -> str:
        coordinator = self.coordinator
        lines = [f"head {coordinator.head_seq} durable {coordinator.durable_seq}"]
        for member in coordinator.ssps.values():
            progress = member.progress
            lines.append(
                f"ssp {member.id} {member.phase} ({member.documented_state}) incarnation {member.incarnation}"
                f" acked {progress.acked_seq} next {progress.next_seq} inflight {progress.inflight_frames}"
                f" views {coordinator.views_of(member.id)}{' draining' if member.draining else ''}"
            )
        for key, view in sorted(coordinator.views.items()):
            fence = f" from {','.join(view.fence_ssp_ids)}" if view.fence_ssp_ids else ""
            former = f" beside {view.handing_over_ssp_id}" if view.handing_over_ssp_id else ""
            lines.append(f"view {key.id} on {view.ssp_id or '-'} at {view.assigned_seq}{fence}{former}: {view.state}")
        if coordinator.views_leaving:
            lines.append(f"leaving {coordinator.views_leaving}")
        return "\n".join(lines)

    def do_needed(self, command: Command) -> str:
        return f"log is needed from {self.coordinator.lowest_needed_seq()}"


def shown(ready: Ready) -> list[str]:
    lines = [f"entry {entry_text(entry)}" for entry in ready.entries]
    lines += [f"pin {pin.owner} " + (f"at {pin.at}" if pin.at is not None else "gone") for pin in ready.pins]
    lines += [f"reply {reply.ticket} {reply.fault.code if reply.fault else reply.seq}" for reply in ready.replies]
    for welcomed in ready.welcomed:
        welcome = welcomed.welcome
        views = [
            view.spec.key.id
            + "".join(f"<{former}" for former in view.fence_ssp_ids)
            + (f" beside {view.handing_over_ssp_id}" if view.handing_over_ssp_id else "")
            for view in welcome.views
        ]
        kind = "resume" if welcome.resume else "snapshot"
        lines.append(
            f"welcome stream {welcomed.session_id} {kind} at {welcome.at_seq} as {welcome.incarnation} {views}"
        )
    for ended in ready.ended:
        why = (
            f"rebootstrap: {ended.rebootstrap}" if ended.fault is None else f"{ended.fault.code}: {ended.fault.message}"
        )
        lines.append(f"end stream {ended.session_id} {why}")
    return lines


def entry_text(entry: common_pb2.Entry) -> str:
    body = getattr(entry, entry.WhichOneof("body"))
    match entry.WhichOneof("body"):
        case "change":
            text = f"{common_pb2.Op.Name(body.op)[3:].lower()} {body.table}"
        case "view_registered":
            text = f"registered {body.spec.key.id} ttl {body.spec.ttl_ms} client {body.spec.client_id or '-'}"
        case "view_assigned":
            text = f"assigned {body.spec.key.id} to {body.ssp_id}"
            text += f" from {','.join(body.fence_ssp_ids)}" if body.fence_ssp_ids else ""
            text += f" beside {body.handing_over_ssp_id}" if body.handing_over_ssp_id else ""
        case "view_released":
            text = f"released {body.key.id} to {body.ssp_id} as of {body.assigned_seq}"
        case "view_unregistered":
            text = f"unregistered {body.key.id}: {body.reason}"
        case _:
            text = f"joined {body.ssp_id}"
    return f"{entry.seq}{' .' if entry.txn_last else ' +'} {text}"


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path) -> None:
    stage = Stage()
    run_scenario(path, stage.run)


def test_there_are_stories() -> None:
    assert len(STORIES) >= 6
