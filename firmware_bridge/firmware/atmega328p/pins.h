/* Every pin of the board, in one place. Arduino Uno and Nano name them as the comments say; docs/wiring.md draws them.
 *
 * After any reset a pin is an input without pull-up until pins are started, so each output stays off by the pull-down
 * resistor of its driver (docs/wiring.md) and is then driven low before it becomes an output: no pulse at a reset.
 * D13 carries the on-board LED, which boot loaders flash at every reset: nothing but a LED may hang there.
 * D0 and D1 belong to the serial line.
 */
#ifndef PINS_H
#define PINS_H

#include <avr/io.h>

/* Inputs 0 to 7: A0 to A7, in this order. A6 and A7 are on the Nano and on no Uno, which is built with INPUTS=6. */
#define FIRST_ANALOG_PIN 0

/* Active high: the driver turns on at 5 V. */
#define OUTPUT_PORT PORTD
#define OUTPUT_DIRECTION DDRD
#define SIREN_BIT PD4     /* D4 */
#define STROBE_BIT PD5    /* D5: the LED of OUTPUT and TEST */
#define FAULT_LED_BIT PD6 /* D6, with 1 kOhm to a LED */

/* The on-board LED repeats the fault LED. */
#define ONBOARD_LED_PORT PORTB
#define ONBOARD_LED_DIRECTION DDRB
#define ONBOARD_LED_BIT PB5 /* D13 */

#endif
