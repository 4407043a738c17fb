"""`spky top`: the mesh at a glance, once a second: the flow, the SSPs, the last 15 minutes, the latest events."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sp00ky.deploy.cli_client import DEFAULT_URL, AsJson, Secret, Url, counted

if TYPE_CHECKING:
    from rich.console import RenderableType

BARS = "▁▂▃▄▅▆▇█"
POINTS_MAX = 180  # 15 minutes
STEP_MS = 4_500
EVENTS_SHOWN = 8
SSPS_SHOWN = 40
PLAIN_COLUMNS = 120  # of a frame that goes into a pipe


@dataclass(slots=True)
class Glance:
    """What has been told so far. `lost`: why nothing more comes just now."""

    sample: dict[str, Any] = field(default_factory=dict)
    points: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=POINTS_MAX))
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=EVENTS_SHOWN))
    lost: str = ""

    def take(self, name: str, data: Any) -> bool:
        """Whether there is a new frame to show."""
        match name:
            case "history":
                self.points.clear()
                self.points.extend(data)
            case "mesh":
                self.events.append(data)
            case "sample":
                self.sample, self.lost = data, ""
                if not self.points or data["at_ms"] - self.points[-1]["at_ms"] >= STEP_MS:
                    self.points.append(data)
                return True
            case _:
                pass
        return False


def top(
    *,
    once: Annotated[bool, typer.Option("--once", help="one frame, then end")] = False,
    url: Url = DEFAULT_URL,
    secret: Secret = "",
    as_json: AsJson = False,
) -> None:
    """The mesh, live: rates and lag at each stage, SSPs, the last 15 minutes, the latest events."""
    from rich.console import Console
    from rich.live import Live

    glance = Glance()
    frames = _frames(glance, url, secret)
    if as_json:
        for shown in frames:
            typer.echo(json.dumps(shown.sample))
            sys.stdout.flush()
            if once:
                return
        return
    is_terminal = sys.stdout.isatty()
    console = Console(width=None if is_terminal else PLAIN_COLUMNS)
    if once or not is_terminal:
        for shown in frames:
            console.print(frame(shown))
            sys.stdout.flush()
            if once:
                return
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for shown in frames:
            live.update(frame(shown), refresh=True)


def _frames(glance: Glance, url: str, secret: str) -> Iterator[Glance]:
    from sp00ky.deploy.followed import follow
    from sp00ky.deploy.remote import Remote
    from sp00ky.proto.faults import Fault

    def lost(fault: Fault) -> None:
        glance.lost = fault.message

    for event in follow(Remote(url, secret), "/events?samples=1", lost=lost):
        if glance.take(event.name, event.data):
            yield glance


# --- one frame --------------------------------------------------------------------------------------------------------


def frame(glance: Glance) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    parts = [_head(glance), Text(), *_flow(glance.sample), Text(), *_trends(glance), Text(), _ssps(glance.sample)]
    if glance.events:
        parts += [Text(), *(_event(event) for event in glance.events)]
    return Group(*parts)


def _head(glance: Glance) -> RenderableType:
    from rich.text import Text

    sample = glance.sample
    ready = sum(ssp["state"] == "ready" for ssp in sample["ssps"])
    good = sample["state"] == "ready" and ready and not sample.get("detail")
    state = glance.lost or sample.get("detail") or (sample["state"] if ready else "no SSP is ready")
    at = datetime.fromtimestamp(sample["at_ms"] / 1000).strftime("%H:%M:%S")
    views = "1 view" if sample["views"] == 1 else f"{count(sample['views'])} views"
    facts = f"  {at}  {views}  {ready}/{len(sample['ssps'])} SSPs  head {sample['head_seq']}"
    letters = f"  {counted(sample['dead_letters'], 'dead letter')}" if sample["dead_letters"] else ""
    return Text.assemble(
        ("Sp00ky Mesh", "bold"), "  ", (f"● {state}", "green" if good else "red"), facts, (letters, "red")
    )


def _flow(sample: dict[str, Any]) -> Sequence[RenderableType]:
    """The stages in a row, each with its rate; below, how late each is."""
    from rich.table import Table

    ready = [ssp for ssp in sample["ssps"] if ssp["state"] == "ready"]
    applied = sum(ssp["applied_per_second"] for ssp in ready) / len(ready) if ready else 0.0
    edges = sum(ssp["edges_per_second"] for ssp in sample["ssps"])
    lag = sample.get("lag")
    stages = (
        ("SurrealDB", f"{count(sample['rows'])} rows" if sample["captures"] else "none", ""),
        ("capture", f"{rate(sample['captured_per_second'])}/s", ""),
        ("log", f"{rate(sample['appended_per_second'])}/s", late(lag, "captured_seconds")),
        ("SSPs", f"{rate(applied)}/s each", late(lag, "applied_seconds")),
        ("edges", f"{rate(edges)}/s", late(lag, "written_seconds")),
        ("clients", f"{count(sample['views'])} views", f"{sample.get('streams', 0)} streams here"),
    )
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    for name, _, _ in stages:
        table.add_column(name if name == "SurrealDB" else f"→ {name}", no_wrap=True)
    table.add_row(*(f"[bold]{figure}[/bold]" for _, figure, _ in stages))
    table.add_row(*(f"[dim]{below}[/dim]" for _, _, below in stages))
    return [table]


def _trends(glance: Glance) -> Sequence[RenderableType]:
    from rich.text import Text

    appended = [point["appended_per_second"] for point in glance.points]
    lags = [point.get("lag", {}).get("written_seconds", 0.0) for point in glance.points]
    now = glance.sample
    written = now["lag"]["written_seconds"] if "lag" in now else None
    return [
        Text.assemble(("appended/s ", "dim"), (bars(appended), "cyan"), f" {rate(now['appended_per_second'])}"),
        Text.assemble(("end to end ", "dim"), (bars(lags), "magenta"), f" {seconds(written) if written else '–'}"),
    ]


def _ssps(sample: dict[str, Any]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    if not sample["ssps"]:
        return Text("no SSP has joined", style="dim")
    table = Table("SSP", "state", box=None, padding=(0, 3, 0, 0), header_style="dim")
    for name in ("views", "behind", "applied/s", "edges/s", "cpu", "memory", "heartbeat"):
        table.add_column(name, justify="right", no_wrap=True)
    for ssp in sample["ssps"][:SSPS_SHOWN]:
        style = {"ready": "green", "stale": "red"}.get(ssp["state"], "yellow")
        state = f"{ssp['state']}, draining" if ssp["draining"] else ssp["state"]
        table.add_row(
            ssp["id"],
            Text(state, style=style),
            count(ssp["views"]),
            count(max(0, sample["head_seq"] - ssp["applied_seq"])),
            rate(ssp["applied_per_second"]),
            rate(ssp["edges_per_second"]),
            f"{ssp['cpu_usage']:.0%}",
            f"{ssp['memory_usage'] / 2**20:.0f} MiB",
            seconds(ssp["last_heartbeat_seconds_ago"]),
        )
    if len(sample["ssps"]) > SSPS_SHOWN:
        table.caption = f"and {len(sample['ssps']) - SSPS_SHOWN} more"
    return table


def _event(event: dict[str, Any]) -> RenderableType:
    from rich.text import Text

    at = datetime.fromtimestamp(event["at_ms"] / 1000).strftime("%H:%M:%S")
    kind = (f"{event['kind']:<18} ", "red" if event["trouble"] else "cyan")
    return Text.assemble((f"{at}  ", "dim"), kind, event["text"], no_wrap=True, overflow="ellipsis")


# --- figures ----------------------------------------------------------------------------------------------------------


def bars(values: Sequence[float], width: int = 60) -> str:
    """The highest of each stretch of time as a bar, the newest last."""
    if not values:
        return " " * width
    per = max(1, -(-len(values) // width))
    highest = [max(values[begin : begin + per]) for begin in range(0, len(values), per)]
    top_value = max(highest) or 1.0
    drawn = "".join(BARS[min(len(BARS) - 1, int(value / top_value * (len(BARS) - 1) + 0.5))] for value in highest)
    return drawn.rjust(width)


def count(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):.1f} {unit}"
    return f"{number:.0f}"


def rate(number: float) -> str:
    return f"{number:.1f}" if 0 < number < 10 and number != int(number) else count(number)


def seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def late(lag: dict[str, float] | None, stage: str) -> str:
    return f"after {seconds(lag[stage])}" if lag is not None else ""
