"""For people who test agents that learn, or write an index: simulated and scripted models, and the conformance checks of wrapped graphs."""
