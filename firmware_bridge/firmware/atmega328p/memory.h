/* EEPROM byte by byte, and how much RAM was never used. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Begin to write one byte (3.4 ms on its own, by the hardware); false when the last one is still being written. A byte
 * that has this value already is not written: EEPROM bears 100 000 writes. */
bool memory_eeprom_write(uint16_t at, uint8_t value);

/* Waits for a write that is under way, 3.4 ms at most. */
uint8_t memory_eeprom_read(uint16_t at);

/* Bytes between the variables and the deepest place that the stack has reached since the start. */
uint16_t memory_never_used(void);

#endif
