/* The name that `make flash` gives to a board. */
#ifndef UID_H
#define UID_H

/* Write the uid of this image (64 random bits, drawn anew by each `make flash`) to EEPROM, unless the board has one, or
 * in its place in an image built with REPLACE_UID (`make flash NEW_UID=1`); must come before board_start. An image that was not built by `make flash` carries none, and nothing is written.
 *
 * Through the program itself and not by avrdude: optiboot cannot write EEPROM, and what it is told to write there it
 * writes over the program.
 */
void uid_keep(void);

#endif
