"""From a suite file to the plan of its trials. Imports no torch.

`load` reads and checks the file, `prepare` decodes its data, `expand` makes the plan. Import the modules
themselves: a worker that needs `plan` alone should not pay for the rest.
"""
