"""What a mesh has for processes of its host that want to join: who is there already, and doors."""

from __future__ import annotations

from typing import NamedTuple

from composemesh.capture.doors import ProcessCapture
from composemesh.discovery.joined import Joined


class Processes(NamedTuple):
    """Two rooms that know nothing of each other."""

    joined: Joined
    capture: ProcessCapture
