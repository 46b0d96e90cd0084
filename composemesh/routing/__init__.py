"""Which rule decides over a request: one pure function, for the data path, `explain`, `validate` and the tests.

hosts        what a name in a document means
request      what rules look at: a request, or the opening of a connection
predicates   one condition, compiled
chance       weights and percentages that come out exact
resolve      the function itself
table        all rules of a snapshot, compiled when they are first asked for, by host and gateway
explain      why a request goes where it goes
"""
