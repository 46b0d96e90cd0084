"""A service mesh for Docker Compose: one trio process per Compose project.

Read the rooms from the bottom up: `runtime` and `model` know nothing of the rest; `config`, `discovery`,
`proxy` and `capture` meet only in `model`; `app` is the composition root; `cli` is what users call.
"""

__version__ = "0.1.0"
