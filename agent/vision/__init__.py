"""From frames to facts: decoding, detection, tracking, counting."""
