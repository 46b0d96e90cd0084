"""Values the rooms exchange: frozen, standard library only, no clock and no socket.

`workload` what runs · `snapshot` what was configured · `problem` what is wrong with a document ·
`flag` why an exchange ended · `peer` and `record` what telemetry is told when it did.
"""
