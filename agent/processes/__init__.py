"""Composition roots, one module for each of the four processes."""
