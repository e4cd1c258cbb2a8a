/* Why the chip started, and the watchdog that starts it anew when the loop hangs. */
#ifndef RESET_H
#define RESET_H

#include <stdint.h>

#include "../core/board.h"

/* Why this start happened.
 *
 * A boot loader that clears MCUSR (optiboot does) passes it on in r2, or not at all (the one of older Unos leaves r2 as
 * it was). And optiboot leaves itself by its own watchdog, so that WDRF alone in r2 may be no fault of this program.
 * Hence the watchdog warns by an interrupt first, which leaves a mark in RAM: RAM outlives a reset and no power cut.
 */
enum reset_cause reset_why(void);

/* From now on the chip is reset 1 s after the last `watchdog_feed`: a warning after 0.5 s, the reset after another. */
void watchdog_start(void);

void watchdog_feed(void);

#endif
