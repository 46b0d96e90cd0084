"""Which rule decides over a request: one pure function, for the data path, `explain`, `validate` and the tests.

`request` what rules look at · `predicates` one condition, compiled · `resolve` the function itself.
"""
