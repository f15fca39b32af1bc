"""Which components there are, what parameters they take, and how they are built. Imports no torch.

`discovery.discover` finds them, and returns a `registry.Registry`. Import the modules themselves: who wants a digest
should not pay for the rest.
"""
