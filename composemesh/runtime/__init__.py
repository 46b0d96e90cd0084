"""What every room stands on: one-slot feeds, supervision, processes that are still the same, captured sockets."""
