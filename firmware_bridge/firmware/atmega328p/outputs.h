/* Siren, strobe and LEDs. */
#ifndef OUTPUTS_H
#define OUTPUTS_H

#include <stdbool.h>

/* All off, before anything else: levels first, then direction. */
void outputs_start(void);

void outputs_drive(bool siren, bool strobe, bool fault_led);

#endif
