#include "uid.h"

#include <avr/pgmspace.h>

#include "../core/eeprom.h"
#include "memory.h"

#define UID_AT 0
#define ERASED 0xff

#ifndef FLASHED_UID
#define FLASHED_UID ERASED, ERASED, ERASED, ERASED, ERASED, ERASED, ERASED, ERASED
#endif

static const uint8_t flashed[] PROGMEM = {FLASHED_UID};
_Static_assert(sizeof flashed == UID_BYTES, "a uid has 8 bytes");

/* A byte that is neither erased nor of this uid belongs to another one. Half of this one is what a power cut left. */
void uid_keep(void)
{
#ifndef REPLACE_UID
    for (uint8_t at = 0; at < UID_BYTES; at++) {
        uint8_t kept = memory_eeprom_read(UID_AT + at);
        if (kept != ERASED && kept != pgm_read_byte(&flashed[at])) {
            return;
        }
    }
#endif
    for (uint8_t at = 0; at < UID_BYTES; at++) {
        uint16_t polls = UINT16_MAX; /* longer than any write takes: an EEPROM that is broken may not stop the start */
        while (!memory_eeprom_write(UID_AT + at, pgm_read_byte(&flashed[at])) && --polls) {
        }
    }
}
