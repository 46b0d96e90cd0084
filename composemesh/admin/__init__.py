"""What the mesh tells about itself, and how it is changed: JSON for scripts, the command line and the UI.

server      listeners and connections, which no client can bring down
api         addresses → answers
guard       who may ask, and who may change something; `token` what a change over TCP must show
mesh_view   the live values that answers are made of
resources, trials, streams    the handlers of more than one line; `bodies` reads what clients send
apart, turns     what takes too long for the loop: in a thread, or in pieces
joining     a process of this host joins, for as long as it reads the answer; `processes` who is there already
exports     what an Envoy is started with
page        the files of composemesh.ui, and the headers that fence them in
sampling    the mesh once a second, for all who watch
tapping     which records a reader of the tap wants, and which it is told when they come too fast
views, graph_views, resource_views    pure: values → the JSON shapes that others build on
"""
