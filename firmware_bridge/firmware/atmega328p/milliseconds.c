#include "milliseconds.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

#include "adc.h"

#define PRESCALER 64UL
#define COUNTS_PER_MS (F_CPU / PRESCALER / 1000UL)
_Static_assert(COUNTS_PER_MS * PRESCALER * 1000UL == F_CPU, "a millisecond must be a whole number of counts");
_Static_assert(COUNTS_PER_MS <= 256, "timer 0 counts to 255");

static volatile uint32_t ms;
static volatile uint8_t until_round = SAMPLE_EVERY_MS;

void milliseconds_start(void)
{
    OCR0A = (uint8_t)(COUNTS_PER_MS - 1);
    TCCR0A = _BV(WGM01); /* clear on compare match */
    TCCR0B = _BV(CS01) | _BV(CS00);
    TIMSK0 = _BV(OCIE0A);
}

uint32_t milliseconds(void)
{
    uint32_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { now = ms; }
    return now;
}

ISR(TIMER0_COMPA_vect)
{
    ms++;
    if (--until_round == 0) {
        until_round = SAMPLE_EVERY_MS;
        adc_begin_round();
    }
}
