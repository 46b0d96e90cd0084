"""What a kind of resource is to the loader and the compiler."""

from __future__ import annotations

from dataclasses import dataclass

ISTIO = ("v1alpha3", "v1beta1", "v1")
"""Versions of `networking.istio.io`; the fields are the same in all of them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its name, and who speaks of it."""

    name: str
    group: str
    versions: tuple[str, ...] = ISTIO
    """Those accepted; the last one is what to write today."""

    @property
    def api_version(self) -> str:
        """The modern one."""
        return f"{self.group}/{self.versions[-1]}"
