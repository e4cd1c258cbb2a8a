"""云监管: the in-facility safety monitoring agent. ARCHITECTURE.md says which process owns what."""
