"""The filters that the configuration names, made and bound. They outlive plans, and so do their counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from composemesh.proxy.chain.hooks import Chain, Stage

if TYPE_CHECKING:
    from composemesh.catalog import Catalog
    from composemesh.model.filter import FilterUse
    from composemesh.model.problem import Problem
    from composemesh.runtime.failures import Failures

Uses = tuple["FilterUse", ...]


class Filters:
    """All chains of one mesh."""

    __slots__ = ("_catalog", "_mesh", "_services", "_uses", "everywhere")

    def __init__(self, catalog: Catalog[type] | None = None) -> None:
        """`catalog`: what the names of filters stand for."""
        self._catalog = catalog
        self._mesh: Uses = ()
        self._uses: Mapping[str, Uses] = {}
        self.everywhere: Chain | None = None
        """That of the whole mesh; None where it has no filter: the usual case."""
        self._services: dict[str, Chain] = {}

    def __repr__(self) -> str:
        return f"<Filters {self.everywhere} {self._services}>"

    def of(self, service: str) -> Chain | None:
        """That of a service."""
        return self._services.get(service)

    def replan(self, mesh: Uses, services: Mapping[str, Uses]) -> None:
        """From now on these hold. A filter whose place, name and settings are as they were goes on as it is."""
        if mesh == self._mesh and services == self._uses:
            return
        kept = list(self.stages())
        self._mesh, self._uses = mesh, services
        self.everywhere = self._chain("", mesh, kept)
        chains = {service: self._chain(service, uses, kept) for service, uses in services.items()}
        self._services = {service: chain for service, chain in chains.items() if chain is not None}

    def stages(self) -> Iterator[Stage]:
        """Every filter in its place."""
        for chain in (self.everywhere, *self._services.values()):
            yield from () if chain is None else chain.stages

    def problems(self) -> Iterator[Problem]:
        """What is wrong with any of them at this moment."""
        for stage in self.stages():
            problem = stage.problem()
            if problem is not None:
                yield problem

    def failures(self) -> Iterator[Failures]:
        """What they did wrong since they were configured as they are."""
        for stage in self.stages():
            yield stage.failures

    def _chain(self, place: str, uses: Uses, kept: list[Stage]) -> Chain | None:
        return Chain([self._stage(place, use, kept) for use in uses]) if uses else None

    def _stage(self, place: str, use: FilterUse, kept: list[Stage]) -> Stage:
        for stage in kept:
            if stage.place == place and stage.use == use:
                kept.remove(stage)  # of two that are equal, each has its own
                stage.use = use  # it may stand in another line
                return stage
        return Stage(place, use, partial(self._make, use))

    def _make(self, use: FilterUse) -> Any:
        if self._catalog is None:
            raise LookupError("this mesh has no filters")
        return self._catalog[use.name](use.config)
