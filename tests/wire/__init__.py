"""What goes over the wire, and what must not: the codec against recorded cases, mutants of them, and the clock.

`conversation` reads bytes as the proxy does · `corpus` finds the recorded cases · `peers` asks h11 and llhttp ·
`fuzz` makes mutants by the million (`python -m wire.fuzz`) · `cost` measures (`python -m wire.cost`).
"""
