"""Names inside captured containers: what the mesh answers itself, and what goes on to Docker's resolver as it came.

Reads from the top: `resolver` takes questions, `asking` passes them on, `message` reads and writes them (pure).
`flows` ends those that the kernel would go on to send past the mesh.
"""
