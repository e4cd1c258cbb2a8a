"""Cameras to footage: recording, its index, how long it is kept, what proves it, and what is handed out.

Sound is recorded only where the settings ask for it: whether children's voices are kept is a matter of policy, not a
default.
"""
