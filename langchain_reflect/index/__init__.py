"""Where lessons are found by meaning: embedders and vector indexes. Derived data, rebuilt from the ledger at any time."""
