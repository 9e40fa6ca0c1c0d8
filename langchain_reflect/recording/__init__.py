"""A run becomes an episode: task, trajectory, and the writer that keeps it."""
