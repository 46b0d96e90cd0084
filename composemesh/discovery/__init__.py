"""Finds what runs. Sources watch, the registry merges, the other rooms read one `Latest[Discovered]`.

`docker` the engine's containers · `mdns` services on the local network · `joined` processes of this host that
joined · `static` what is known from the start · `found` the sources that `x-mesh` names, as one; of what these
report, `soundness` says whether it can be a workload, and `own_names` which names nobody may take · `registry` the
merge; it restarts sources.
"""
