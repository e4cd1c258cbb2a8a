"""YAML settings: closed models and a loader that reports every mistake at once."""
