"""Docker as a source, from bytes to meaning.

`connection` HTTP/1.1 to the engine, and its failures in words · `client` questions and the event feed
`translate` and `stop` what an answer means, pure · `ledger` what is known, and what an event changes, pure
`source` when to ask.
"""
