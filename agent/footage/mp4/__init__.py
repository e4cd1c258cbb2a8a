"""The insides of recorded files: boxes, samples, holes that a power cut left, parameter sets."""
