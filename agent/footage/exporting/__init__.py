"""Footage handed out: joined files and signed packages, and how they are checked."""
