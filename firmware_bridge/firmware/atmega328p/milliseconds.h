/* The time since the start. */
#ifndef MILLISECONDS_H
#define MILLISECONDS_H

#include <stdint.h>

/* Start timer 0; interrupts must be on for the time to run. */
void milliseconds_start(void);

/* Milliseconds since the start; wraps after 49.7 days. Not from an interrupt. */
uint32_t milliseconds(void);

#endif
