"""The command line: `reflect` (also `langchain-reflect`), one module for each group of commands.

Modules here import nothing heavy, so that `reflect --help` answers at once; a command imports what it needs when it runs.
"""

from langchain_reflect.cli.app import main

__all__ = ["main"]
