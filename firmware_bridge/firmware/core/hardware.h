/* What the core asks of the hardware under it. One implementation per chip; the tests have one of their own.
 *
 * Nothing here may block for longer than a few milliseconds.
 */
#ifndef HARDWARE_H
#define HARDWARE_H

#include <stdbool.h>
#include <stdint.h>

/* One byte of the EEPROM image (0 to 1023; layout: eeprom.h). May wait for a write that is under way (3.4 ms). */
uint8_t hardware_eeprom_read(uint16_t at);

/* Begin to write one byte; false, with nothing done, while an earlier byte is still being written. A byte that is
 * there already need not be written again: say true. Bytes must reach the EEPROM in the order of these calls. */
bool hardware_eeprom_write(uint16_t at, uint8_t value);

/* How many bytes hardware_send takes now. A frame is given only when there is room for FRAME_SENT_MAX (frame.h). */
uint8_t hardware_send_room(void);

/* Send these bytes, one whole frame. Never more than hardware_send_room said. */
void hardware_send(const uint8_t *bytes, uint8_t n);

/* Bytes that were never used between the static data and the stack, lowest so far; 0 not measured. */
uint16_t hardware_free_ram(void);

/* The supply in mV; 0 not measured. */
uint16_t hardware_supply_mv(void);

#endif
