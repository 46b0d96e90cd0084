"""The Compose side of the mesh: files and CLI, the state folder, the background process, the provider protocol.

`compose` asks Docker Compose itself · `files` which files it reads · `overlay` adds network aliases ·
`engine` where Docker answers · `state` what is kept on disk · `daemon` starts and stops a mesh in the background ·
`client` asks a running mesh · `provider` Compose's own protocol · `check` whether this host can run it all.
"""
