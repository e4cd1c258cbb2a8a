#include "adc.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

#include "pins.h"

/* One conversion after the multiplexer has moved is thrown away: the hold capacitor still has charge of the last
 * input. The bandgap can hardly drive it and needs more of them. */
#define DISCARDED 1
#define READINGS 4
#define SUPPLY_DISCARDED 8

#define BANDGAP_MV 1100UL
#define BANDGAP_CHANNEL (_BV(MUX3) | _BV(MUX2) | _BV(MUX1))
#define FULL_SCALE 1023UL

/* AVcc is the reference: inputs divide the same voltage, so that its drift cancels out. */
#define REFERENCE _BV(REFS0)
/* 16 MHz / 128 = 125 kHz; full resolution needs 50 to 200 kHz. */
#define PRESCALER (_BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0))

/* Owned by the interrupt while `input` says that a round is under way. */
static volatile uint8_t input = INPUTS + 1; /* INPUTS: the supply, INPUTS + 1: at rest */
static uint8_t taken;
static uint16_t sum;
static uint16_t round_so_far[INPUTS];

/* Handed over. */
static volatile bool fresh;
static uint16_t newest[INPUTS];
static uint16_t supply_sum;

static void convert(uint8_t channel)
{
    ADMUX = REFERENCE | channel;
    ADCSRA = _BV(ADEN) | _BV(ADIE) | _BV(ADSC) | PRESCALER;
}

static uint8_t channel_of(uint8_t number)
{
    return number < INPUTS ? (uint8_t)(FIRST_ANALOG_PIN + number) : (uint8_t)BANDGAP_CHANNEL;
}

void adc_start(void)
{
    DIDR0 = 0x3f; /* A0 to A5 are not read as digital pins; A6 and A7 cannot be */
    ADCSRA = _BV(ADEN) | PRESCALER;
}

void adc_begin_round(void)
{
    if (input <= INPUTS) {
        return;
    }
    input = 0;
    taken = 0;
    sum = 0;
    convert(channel_of(0));
}

bool adc_take_round(uint16_t adc[INPUTS])
{
    bool took = false;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) {
        if (fresh) {
            for (uint8_t each = 0; each < INPUTS; each++) {
                adc[each] = newest[each];
            }
            fresh = false;
            took = true;
        }
    }
    return took;
}

uint16_t adc_supply_mv(void)
{
    uint16_t measured;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { measured = supply_sum; }
    if (measured == 0) {
        return 0;
    }
    return (uint16_t)((BANDGAP_MV * FULL_SCALE * READINGS + measured / 2) / measured);
}

/* The reading is fetched before the multiplexer moves on. */
ISR(ADC_vect)
{
    uint16_t reading = ADC;
    uint8_t discarded = input < INPUTS ? DISCARDED : SUPPLY_DISCARDED;
    if (taken >= discarded) {
        sum += reading;
    }
    taken++;
    if (taken < discarded + READINGS) {
        convert(channel_of(input));
        return;
    }
    if (input < INPUTS) {
        round_so_far[input] = (sum + READINGS / 2) / READINGS;
        if (input == INPUTS - 1) {
            for (uint8_t each = 0; each < INPUTS; each++) {
                newest[each] = round_so_far[each];
            }
            fresh = true;
        }
    } else {
        supply_sum = sum;
    }
    taken = 0;
    sum = 0;
    input++;
    if (input <= INPUTS) {
        convert(channel_of(input));
    }
}
