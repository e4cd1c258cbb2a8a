"""Boards that are no microcontroller of ours: Modbus-RTU modules and GPIO lines, with the face of `SerialBoard`."""
