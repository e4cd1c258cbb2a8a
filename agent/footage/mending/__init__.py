"""Disk and index made to agree, at the start and while recording goes on."""
