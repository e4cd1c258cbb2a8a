"""Packets of cameras on their way to the volumes."""
