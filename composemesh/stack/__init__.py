"""The Compose side of the mesh: files and CLI, the state folder, the background process, the provider protocol.

`compose` asks Docker Compose itself · `files` which files it reads · `labelled` which ones a project that is known
by its name only was made from · `overlay` adds network aliases · `configuration` what they say to the mesh, read
before anything is started · `alone` the same for a mesh without containers · `validation` documents looked at
without a mesh · `engine` where Docker answers · `state` what is kept on disk · `logfile` a log there · `daemon`
starts and stops a mesh in the background · `client` asks a running mesh · `processes` workloads that are processes
of this host · `command` one that the user starts · `membership` one that joins a running mesh · `provider`
Compose's own protocol · `examples` those that come with the package · `check` whether this host can run it all ·
`errors` what a user did, in one line.
"""
