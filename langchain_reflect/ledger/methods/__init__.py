"""The ledger's methods, by what they are about. `Ledger` puts them together."""
