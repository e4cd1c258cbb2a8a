"""Cameras to footage: recording, the index of what is there, recovery, export.

Pictures only: the sound of a camera is not recorded. Most cameras send G.711, which no MP4 takes, and whether
children's voices are recorded at all is a matter of policy, not a default.
"""
