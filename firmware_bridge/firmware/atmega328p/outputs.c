#include "outputs.h"

#include <util/atomic.h>

#include "pins.h"

#define ALL (_BV(SIREN_BIT) | _BV(STROBE_BIT) | _BV(FAULT_LED_BIT))

void outputs_start(void)
{
    OUTPUT_PORT &= (uint8_t)~ALL;
    OUTPUT_DIRECTION |= ALL;
    ONBOARD_LED_PORT &= (uint8_t)~_BV(ONBOARD_LED_BIT);
    ONBOARD_LED_DIRECTION |= _BV(ONBOARD_LED_BIT);
}

void outputs_drive(bool siren, bool strobe, bool fault_led)
{
    uint8_t levels = (uint8_t)((siren ? _BV(SIREN_BIT) : 0) | (strobe ? _BV(STROBE_BIT) : 0) |
                               (fault_led ? _BV(FAULT_LED_BIT) : 0));
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) {
        OUTPUT_PORT = (uint8_t)((OUTPUT_PORT & (uint8_t)~ALL) | levels); /* all at once, none through a wrong level */
        OUTPUT_DIRECTION |= ALL; /* what a disturbance has turned into an input is an output again */
        if (fault_led) {
            ONBOARD_LED_PORT |= _BV(ONBOARD_LED_BIT);
        } else {
            ONBOARD_LED_PORT &= (uint8_t)~_BV(ONBOARD_LED_BIT);
        }
    }
}
