"""What the mesh promises, beside a peer or by itself."""

from __future__ import annotations

from dataclasses import dataclass

from . import peers
from .contests import GRPC, HTTP1, HTTP2, IDLE, LONG, STEADY, TCP
from .figures import Row

PAIR, HOP, BULK = peers.PAIR.name, peers.HOP.name, peers.HOP_TCP.name


@dataclass(frozen=True)
class Goal:
    """One figure of the mesh as a share of a peer's, or in MiB where there is none."""

    what: str
    contest: str
    connections: int
    attribute: str
    bound: float
    beside: str = ""
    least: bool = False
    """More is better: the bound is the least and not the most."""

    def reached(self, seen: float) -> bool:
        return seen >= self.bound if self.least else seen <= self.bound

    def seen(self, table: list[Row], mesh: str = peers.MESH.name) -> float | None:
        """The mesh's figure, or None where it or the other did not take part."""
        figures: dict[str, float] = {
            row.peer: getattr(row, self.attribute)
            for row in table
            if (row.contest, row.connections) == (self.contest, self.connections)
        }
        if not self.beside or mesh not in figures:
            return figures.get(mesh)
        return figures[mesh] / figures[self.beside] if figures.get(self.beside) else None

    def verdict(self, seen: float) -> str:
        least = "least" if self.least else "most"
        figure = f"{seen:.2f} of {self.beside}'s" if self.beside else f"{seen:.0f} MiB"
        outcome = "reached" if self.reached(seen) else "MISSED"
        return f"{self.contest}: {self.what}: {figure} (at {least} {self.bound:g}: {outcome})"


GOALS = (
    Goal("CPU per request, 32 connections", HTTP1, 32, "cpu", 0.5, PAIR),
    Goal("CPU per request, 32 connections", HTTP1, 32, "cpu", 0.9, HOP),
    Goal("p50, 1 connection", HTTP1, 1, "p50", 0.6, PAIR),
    Goal("p99", STEADY, 32, "p99", 1.0, PAIR),
    Goal("CPU per request", HTTP2, 8, "cpu", 1.5, PAIR),
    Goal("CPU per call", GRPC, 8, "cpu", 1.5, PAIR),
    Goal("bytes per CPU second", TCP, 1, "per_cpu_second", 1.0, BULK, least=True),
    Goal("memory", IDLE, 5000, "resident_mib", 150.0),
    Goal("growth after the first second", LONG, 32, "grown_mib", 2.0),
)
