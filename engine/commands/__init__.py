"""What the `holdfast` command does, a file a subject; engine/cli.py says how it is asked.

Each module of a subcommand has `run(arguments, settings) -> exit status`.
"""
