"""What the mesh tells about itself: JSON for scripts and the command line, metrics for Prometheus.

server      listeners and connections, which no client can bring down
api         addresses → answers, and who may ask
mesh_view   the live values that answers are made of
views       pure: values → the JSON shapes that others build on
"""
