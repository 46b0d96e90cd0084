"""Documents → settings that know where they were `said`: `compose` (with `sources`, the files themselves), `labels`."""
