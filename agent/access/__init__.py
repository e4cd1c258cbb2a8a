"""How people and programs look in: socket verbs and pages."""
