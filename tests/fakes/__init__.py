"""Stand-ins for what cannot be had in a test, and small aids to wait for what really happens."""
