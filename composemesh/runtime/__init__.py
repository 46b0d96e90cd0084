"""What every room stands on: one-slot feeds, supervision, exception groups, processes, sockets."""
