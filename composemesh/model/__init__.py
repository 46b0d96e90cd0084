"""Values the rooms exchange: frozen, standard library only, no clock and no socket.

`workload` what runs · `snapshot` what was configured, made of `route` (where requests go), `policy` (how services
are called), `entry` (hosts that no container stands for), `gateway` (ways in from outside), `listener` (how much
one takes), `filter` and `setting` (plugins on the way) and `mdns` (the local network), with the `origin` of each ·
`problem` what is wrong with a document · `flag` why an exchange ended · `peer` and `record` what telemetry is told
when it did.
"""
