/* What the board keeps through power loss, where, and in which order it is written (PROTOCOL.md, 7).
 *
 * The layout is that of firmware_bridge/eeprom.py; the Python reads an image that was written here, and the reverse.
 * A record is written from its last byte to its first: the mark of a panic cell comes last. That the host has committed
 * it is one byte behind the CRC, written alone: torn, the cell is still there and is told again under its own key.
 *
 * Invariants
 * 1. A write torn by a power cut leaves a record that reads as absent, as the old one or as the new one.
 * 2. The boot counter never goes back: the copy that is not being written is whole.
 * 3. Cells are written in the order in which they were changed, so a cell that takes over what another one held is
 *    whole before the other is cleared or used anew. A newer state of a cell that waits replaces the older one in its
 *    place of the queue; a record that was begun is finished first.
 * 4. Nothing here is lost when the hardware is busy: `waiting` holds each changed cell once, and the one that is being
 *    written once more when it has changed again; `dirty` holds each input once.
 */
#ifndef EEPROM_H
#define EEPROM_H

#include <stdbool.h>
#include <stdint.h>

#include "messages.h"

#define EEPROM_BYTES 1024
#define UID_BYTES 8
#define PLACES 16          /* of the ring of events */
#define CELLS (PLACES + 1) /* one more, so that a press that takes the place of another is kept before it goes */

#define MARK_PENDING 0xA5
#define MARK_COMMITTED 0x5A
#define MARK_EMPTY 0xFF

#define INPUTS_MAX 32 /* of any board: a cell may tell of an input that this one does not have */

#define CELL_BODY_BYTES 13
#define CELL_COMMITTED_AT (CELL_BODY_BYTES + 2)
#define CELL_RECORD_BYTES (CELL_COMMITTED_AT + 1)

/* A panic alarm kept through power loss. PENDING: it is sent again after a reset under the same key. COMMITTED: the
 * host has it and the button is still held, so that a reset does not make a second alarm of it. */
struct cell {
    uint8_t mark;
    uint8_t input;
    uint8_t previous;
    uint16_t count;
    uint32_t boot_id;
    uint32_t event_id;
};

/* The cells, and which of them wait to be written, the one being written first. */
struct cells {
    struct cell cell[CELLS];
    uint8_t waiting[CELLS + 1];
    uint8_t n;
    uint8_t bytes_left; /* of the record, up to its end; 0 when its writing has not been begun */
    uint8_t down_to;    /* the first byte of the record that is to be written, and the last one to be */
    uint8_t record[CELL_RECORD_BYTES];
    uint8_t last_used;  /* the search for a free cell begins behind it, so that all of them wear alike */
};

/* Which inputs have a configuration to be written. */
struct config_writer {
    uint16_t dirty;
    uint8_t input;
    uint8_t bytes_left;
};

/* Read the cells. */
void cells_start(struct cells *cells);

/* Keep `cell` in place `number`, or clear that place (mark MARK_EMPTY); written by cells_write. */
void cells_keep(struct cells *cells, uint8_t number, const struct cell *cell);
void cells_clear(struct cells *cells, uint8_t number);

#define NO_CELL 0xFF

/* Where in the queue this place waits to be written and has not been begun; NO_CELL when it does not. */
uint8_t cells_waits_at(const struct cells *cells, uint8_t number);

/* A place for one more press: an empty one, else one that only says that a button is still held, else NO_CELL. */
uint8_t cells_free(struct cells *cells);

/* Give the next byte to the hardware. False when there is none, or the hardware is busy. */
bool cells_write(struct cells *cells);

/* The boot that begins now: its number, written before this returns. */
uint32_t boot_count(void);

/* Watchdog resets since the board was flashed; one more, written before this returns, when `one_more`. */
uint16_t watchdog_count(bool one_more);

/* The payload of CONFIG for input `number`, CONFIG_BYTES long, and back. False for a payload that no input can have. */
void config_put(const struct config *config, uint8_t number, uint8_t *payload);
bool config_get(struct config *config, const uint8_t *payload);

/* The kept configuration of an input; false when there is none. */
bool config_read(struct config *config, uint8_t number);

/* Input `number` has a new configuration to be written. */
void config_keep(struct config_writer *writer, uint8_t number);

/* Give the next byte to the hardware. False when there is none, or the hardware is busy. */
bool config_write(struct config_writer *writer, const struct config *configs);

#endif
