"""Finds what runs. Sources watch, the registry merges, the other rooms read one `Latest[Discovered]`.

`docker` the engine's containers · `static` what is known from the start · `registry` the merge; it restarts sources.
"""
