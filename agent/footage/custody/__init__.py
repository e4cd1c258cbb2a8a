"""What proves that footage is what was recorded: the journal, the device key, checkpoints, and their verification."""
