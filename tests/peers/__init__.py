"""Programs of other people, as clients and servers of the mesh: what a parser, a library or a database makes of it.

`servers` starts them · `programs/` are the few lines that make an application of a library.
"""
