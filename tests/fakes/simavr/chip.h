/* The chip: power, resets, boot loader, EEPROM, faults. */
#ifndef CHIP_H
#define CHIP_H

#include <stdbool.h>
#include <stdint.h>

/* What a boot loader does with MCUSR: there is none, it clears it and passes it on in r2, it clears it and says nothing. */
enum boot_loader { NONE, PASSES_ON, SILENT };

extern uint8_t *eeprom;
extern bool plugged;
extern bool crashed;
extern enum boot_loader boot_loader;
extern unsigned resets;
extern unsigned eeprom_writes;

/* The program in ELF file `program`, and the file that is the EEPROM. False: cannot be read. */
bool chip_make(const char *program, const char *eeprom_file);

/* Run until this cycle, or until a frame was sent. */
void chip_run(uint64_t cycle, bool to_frame_end);

/* Begin anew, with `flags` in MCUSR. */
void chip_reset(uint8_t flags);

/* Power, with RAM full of chance, and its loss. `torn`: a byte of EEPROM that was being written is left erased. */
void chip_plug(uint8_t flags);
void chip_unplug(bool torn);

/* From now on the program goes round in one place, with interrupts or without. */
void chip_hang(bool interrupts);

#endif
