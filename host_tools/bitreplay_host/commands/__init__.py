"""The subcommands: a module each, which knows argparse and what to call.

A module has a docstring (shown by its --help), `add_arguments(parser)` and `run(args)`, which returns an exit status
or None. It is imported when it is asked for. `run` itself imports what needs PyTorch, so that --help works without it.
"""
