"""A run becomes an episode: task, trajectory, redaction, and the writer that keeps it."""
