"""The mesh beside its peers on one machine, in one run: CPU per request, requests a second, latency, memory.

`make bench` runs `python -m bench` in a virtualenv of its own. What is compared stands in `contests` and by whom in
`peers`, how it is loaded in `http1`, `http2`, `bulk` and `idle`, what came of it in `figures`, `goals` and `report`;
`processes` sees to it that nothing outlives the run.
"""
