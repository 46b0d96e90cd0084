"""What every room stands on: one-slot feeds, supervision, and the sockets of a captured workload."""
