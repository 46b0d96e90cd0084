"""Filters of plugins, and what they do to an exchange. What rules do is in `filters/`.

live       the filters that the configuration names: made once, kept for as long as their settings stay
hooks      a filter in its place, and a chain of them, bound: the hooks that each has, in order
around     the hook that holds a request in its hands, its deadline, and what may go wrong with it
bodies     a caller's end, with body hooks in between
view       what a filter sees of an exchange
fields     header fields, as programs read and change them

A filter is other people's code in the middle of a request. Whatever it raises is caught where it was called, counted,
and named; what becomes of the request is said by `fail`. A place without filters has no chain, and pays for none.
"""
