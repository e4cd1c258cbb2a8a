"""The serial link between a microcontroller and a host (TYB/1). Imports nothing of agent."""
