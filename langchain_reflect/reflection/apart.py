"""Where a graph runs apart from any graph in whose node it is called: that one's callbacks and streams see nothing of it."""

from contextvars import Context, copy_context

from langchain_core.runnables.config import var_child_runnable_config


def apart() -> Context:
    """A copy of the context without the run that goes on in it."""
    context = copy_context()
    context.run(var_child_runnable_config.set, None)
    return context
