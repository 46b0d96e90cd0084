"""Which of a cluster's targets gets the next request. One file a balancer; pure."""
