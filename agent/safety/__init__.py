"""PURE. What the facts mean: zones, incidents, occupancy, silence."""
