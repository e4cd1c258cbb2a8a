#include "memory.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

#define PAINT 0xC5

extern uint8_t _end; /* the first byte above all variables, from the linker */

static volatile bool writing;

/* Before anything uses the stack: paint all RAM above the variables. No C here, for there is no stack to use yet. */
__attribute__((naked, used, section(".init3"))) static void paint(void)
{
    __asm__ volatile(
        "ldi r30, lo8(_end)\n"
        "ldi r31, hi8(_end)\n"
        "ldi r24, %[paint]\n"
        "ldi r25, hi8(%[past])\n"
        "0: st Z+, r24\n"
        "cpi r30, lo8(%[past])\n"
        "cpc r31, r25\n"
        "brlo 0b\n" ::[paint] "M"(PAINT),
        [past] "i"(RAMEND + 1));
}

uint16_t memory_never_used(void)
{
    const uint8_t *at = &_end;
    const uint8_t *top = (const uint8_t *)SP;
    while (at < top && *at == PAINT) {
        at++;
    }
    return (uint16_t)(at - &_end);
}

uint8_t memory_eeprom_read(uint16_t at)
{
    while (EECR & _BV(EEPE)) {
    }
    EEAR = at;
    EECR |= _BV(EERE);
    return EEDR;
}

bool memory_eeprom_write(uint16_t at, uint8_t value)
{
    if (writing || (EECR & _BV(EEPE))) {
        return false;
    }
    if (memory_eeprom_read(at) == value) {
        return true;
    }
    writing = true;
    EEAR = at;
    EEDR = value;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) {
        EECR = _BV(EEMPE); /* the next line must come within four cycles */
        EECR |= _BV(EEPE);
        EECR |= _BV(EERIE);
    }
    return true;
}

/* Comes again and again while EEPROM is at rest, until it is switched off. */
ISR(EE_READY_vect)
{
    EECR &= (uint8_t)~_BV(EERIE);
    writing = false;
}
