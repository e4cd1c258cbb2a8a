"""Looking at a whole facility's footage: the numbered invariants, and the index built again."""
