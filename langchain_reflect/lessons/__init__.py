"""The lesson book: which lessons there are, what they say, and how they change."""
