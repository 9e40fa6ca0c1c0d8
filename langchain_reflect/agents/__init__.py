"""The ways in: wrapping a graph, middleware, and plain nodes. All fail open: whatever goes wrong here, the agent's run goes on."""
