"""What the mesh knows about its traffic. The proxy tells the hub; everything else here reads it.

hub        one record an exchange comes in; series, edges and windows stand there to be read
series     counters of one label set, as Prometheus wants them
window     counters of one edge over the last hour, and since the start
metrics    the Prometheus text, in Istio's names
tap        records as they come, for whoever watches
records    those on their way to one sink: a bounded queue
sinks/     who gets each record besides: `running` keeps them running; the access log
"""
