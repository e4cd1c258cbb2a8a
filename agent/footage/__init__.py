"""Cameras to footage: recording, the index of what is there, recovery, export."""
