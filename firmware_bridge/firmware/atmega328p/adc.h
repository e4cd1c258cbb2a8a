/* The analogue inputs: one round over all of them every 10 ms, by interrupts, in ratio to the supply (AVcc).
 *
 * A reading is the mean of READINGS conversions after DISCARDED ones, in counts of 1023; a conversion takes 104 us, so
 * a round over eight inputs takes 4.2 ms and the supply another 1.3 ms.
 */
#ifndef ADC_H
#define ADC_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/debounce.h"

void adc_start(void);

/* From the interrupt of the millisecond only. A round that is still under way is left to end. */
void adc_begin_round(void);

/* The newest round that was not taken yet; false when there is none. Never waits. */
bool adc_take_round(uint16_t adc[INPUTS]);

/* The supply, measured against the 1.1 V bandgap, in mV; 0 until the first round has ended. The bandgap of one chip is
 * anywhere from 1.0 to 1.2 V (data sheet, 29.5): good to see the supply change, wrong by up to 10 % in itself. */
uint16_t adc_supply_mv(void);

#endif
