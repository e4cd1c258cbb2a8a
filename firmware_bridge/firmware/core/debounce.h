/* From ADC counts to a settled state of an input (PROTOCOL.md, 10).
 *
 * Invariants
 * 1. A settled state changes only after `debounce_ms` of unbroken agreement between samples.
 * 2. The time of a change is the first sample that showed it, not the end of the wait.
 * 3. Entering and leaving a band differ by HYSTERESIS_COUNTS, so that a value at an edge does not chatter.
 */
#ifndef DEBOUNCE_H
#define DEBOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "messages.h"

#define SAMPLE_EVERY_MS 10
#define PANIC_DEBOUNCE_MS 30
#define CONTACT_DEBOUNCE_MS 50
#define HYSTERESIS_COUNTS 10
#define DRY_THRESHOLD 512 /* a dry contact against its pull-up: half of full scale tells closed from open */

/* One input as it is known now. `pending` has been seen since `since_ms` and is not settled yet. */
struct settled {
    uint8_t state;
    uint8_t pending;
    uint32_t since_ms;
};

/* A settled change; `at_ms` is the first sample that showed it. */
struct change {
    uint8_t previous;
    uint32_t at_ms;
};

/* An end-of-line input with a 4k7/4k7 pair. */
struct config config_default(uint8_t kind);

/* What `adc` means on this input; `before` is what the last sample meant and is kept near its edges. */
uint8_t classify(uint16_t adc, const struct config *config, uint8_t before);

/* One sample. True when the state has changed; *change then tells. */
bool debounce_step(struct settled *known, uint8_t seen, uint32_t now_ms, uint16_t debounce_ms, struct change *change);

#endif
