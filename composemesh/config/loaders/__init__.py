"""From documents to settings that know where they were `said`: `compose` (and `sources`, the files as written), `labels`."""
