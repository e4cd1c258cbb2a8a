"""From packets to footage: recording, index, recovery, export."""
