"""Documents → settings that know where they were `said`: `compose` (and `sources`, the raw files), `labels`,
`documents` (and `texts`, one of them as it was written)."""
