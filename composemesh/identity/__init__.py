"""Who is who: the mesh's own authority, the certificates it issues, and what the proxy makes of them.

    contexts       certificates → `ssl.SSLContext`: the only thing of this room that the proxy needs
    issuer         certificates that are renewed before they end, without a connection noticing
    store          the authority on disk: 0600, made once, whole or not at all
    files          certificates that users bring, and what is wrong with them
    ca             keys, names and a moment → certificates (no disk, no clock)

The authority's key stays in this room. The proxy gets contexts.
"""
