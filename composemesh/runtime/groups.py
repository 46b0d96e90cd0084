"""What really went wrong: nurseries hand on exceptions in groups, and groups of groups tell nobody anything."""

from __future__ import annotations

from collections.abc import Iterator


def leaves(problem: BaseException) -> Iterator[BaseException]:
    """The exceptions that groups, nested as nurseries nest, finally hold; one that is no group is its own leaf."""
    if isinstance(problem, BaseExceptionGroup):
        for inner in problem.exceptions:
            yield from leaves(inner)
    else:
        yield problem
