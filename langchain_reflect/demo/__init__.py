"""The demo: a small model on this machine meets house rules, fails, is told why, and does better on tasks it has not seen."""
