"""Linear algebra of the implicit methods: systems with W = alpha M - beta J, M diagonal.

`plan` chooses among dense, banded, sparse and matrix-free (Python, once for each model);
`interface` is what compiled methods call, the same for every kind; the other files hold
one kind each.
"""
