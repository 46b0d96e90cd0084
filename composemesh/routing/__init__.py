"""Which rule decides over a request: one pure function, for the data path, `explain`, `validate` and the tests.

Read it from the bottom; a file imports only what stands below it.

    explain      why a request goes where it goes; `backends` to whom, `words` what rules and policies say
    table        all rules of a snapshot, compiled when they are first asked for, by host and gateway
    resolve      THE FUNCTION
    predicates   one condition, compiled
    operators    Envoy's command operators in the values of headers
    chance       weights and percentages that come out exact
    request      what rules look at: a request, or the opening of a connection
    declared     who declares a host: the ServiceEntries, for our own sidecar and for what an Envoy is told
    scopes       what a Sidecar lets its workloads reach
    hosts        what a name in a document means; `names` the names that exist only in the mesh; `labels`
"""
