/* The ring of events that the host has not committed yet (PROTOCOL.md, 7).
 *
 * Invariants
 * 1. At most PLACES events; a press of a panic button never leaves but by ring_forget (the host committed it), or by
 *    being counted into a younger event of the same input when the ring is full of presses.
 * 2. Events stand in the order in which they happened.
 * 3. What was given up otherwise sets `lost`, which stays until a snapshot has told it.
 * 4. Every uncommitted press has a cell (eeprom.h), and whatever takes its place is kept before that cell is cleared.
 */
#ifndef RING_H
#define RING_H

#include <stdbool.h>
#include <stdint.h>

#include "eeprom.h"
#include "messages.h"

enum turn { TURN_NOW, TURN_LATER, TURN_AGAIN }; /* not received in this session; waits for its commit; waited long */

struct held {
    struct event event;
    uint32_t again_ms; /* TURN_LATER: when its wait is over */
    uint8_t turn;
    uint8_t times; /* how often it was received without a commit, stops at 2 */
    uint8_t cell;  /* NO_CELL: this is no press */
    bool old;      /* made more than 65 s ago */
};

struct ring {
    struct held held[PLACES];
    uint8_t n;
    bool lost;
};

/* Start with what EEPROM held. */
void ring_start(struct ring *ring, struct cells *cells);

/* An input changed. */
void ring_add(struct ring *ring, struct cells *cells, struct event event, bool is_press);

/* The host has committed this event. `in_alarm` has a bit for each input that is in alarm now. */
void ring_forget(struct ring *ring, struct cells *cells, uint32_t boot_id, uint32_t event_id, uint16_t in_alarm);

/* The input has left the alarm state: a committed press of it may be forgotten. */
void ring_restored(struct cells *cells, uint8_t input);

/* True when EEPROM says that this input was in alarm and that an event tells or told it. */
bool ring_known_in_alarm(const struct cells *cells, uint8_t input);

/* Everything is to be sent anew. */
void ring_session_began(struct ring *ring);

/* The place of the event to send now, or PLACES when there is none, and so every event was received in this session.
 * First the oldest that was not; then the oldest that has waited long for its commit. */
uint8_t ring_next_due(const struct ring *ring);

/* The host has this event in memory; its commit is awaited. */
void ring_received(struct ring *ring, uint32_t boot_id, uint32_t event_id, uint32_t now_ms);

/* Time passes: waits end, events grow old. */
void ring_tick(struct ring *ring, uint32_t now_ms);

/* Milliseconds since the oldest event of this boot, stops at 65535; 0 when there is none. */
uint16_t ring_age_ms(const struct ring *ring, uint32_t now_ms);

/* How many presses of panic buttons are not committed. */
uint8_t ring_presses(const struct ring *ring);

#endif
