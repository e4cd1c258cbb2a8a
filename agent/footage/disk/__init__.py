"""Volumes as directories and devices: what lies where, how much room there is, and whether it is encrypted."""
