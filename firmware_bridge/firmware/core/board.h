/* The board's side of TYB/1 (PROTOCOL.md): what goes in, what comes out, one board from reset to reset.
 *
 * Invariants
 * 1. A press of a panic button is in the ring until the host has committed it; the ring tells the rest (ring.h).
 * 2. Nothing is sent and no event is numbered before the boot counter of this boot is in EEPROM.
 * 3. Nothing but HELLO is sent outside a session.
 * 4. Nothing here waits: what cannot be sent or written now is kept, and tried again by board_tick.
 * 5. Times are milliseconds in 32 bits and wrap; no comparison looks further than board_tick is called often.
 *    board_tick must be called at least every 20 days of time, in fact every millisecond or so.
 */
#ifndef BOARD_H
#define BOARD_H

#include "debounce.h"
#include "eeprom.h"
#include "frame.h"
#include "hardware.h"
#include "messages.h"
#include "numbering.h"
#include "ring.h"

/* Answers ERROR that wait to be sent; what comes on top is dropped (the host sends one numbered frame at a time). */
#define ERRORS_MAX 4

struct outputs {
    bool siren;
    bool led;       /* the strobe or LED that the host switches */
    bool fault_led; /* blinks while the host is silent; lit while the board has no uid */
};

struct board {
    uint8_t uid[UID_BYTES];
    uint32_t boot_id;
    uint8_t reset_cause;
    uint16_t watchdog_resets;
    bool unnamed; /* the uid is all 0xFF or all 0: the board was never flashed as it should be */

    struct config configs[INPUTS];
    struct settled inputs[INPUTS];
    uint32_t last_event_id;
    bool settled_by_now; /* SETTLED_AFTER_MS have passed since the start */
    uint32_t settled_ms; /* when that is */

    struct cells cells; /* before ring: the ring keeps its presses here */
    struct ring ring;
    struct config_writer config_writer;

    struct deframer deframer;
    struct numbering numbering;
    uint8_t under_way; /* what the outstanding numbered frame is: enum under_way in say.h */
    uint32_t under_way_boot_id;
    uint32_t under_way_event_id;

    /* What is to be sent as soon as there is room. */
    uint8_t to_say; /* a set of bits: enum to_say in say.h */
    uint8_t nak_reason;
    uint32_t sync_token;
    uint32_t sync_t_ms;
    bool starved; /* a numbered frame waits for room: it goes before what is unnumbered */
    uint8_t errors;
    struct error error[ERRORS_MAX];
    bool want_snapshot;

    uint32_t heard_ms; /* when the host was last heard; dragged along behind a silence, so that it cannot wrap */
    uint32_t nak_ms;   /* when a NAK for garbage was last sent; dragged along too */
    uint32_t beat_ms;  /* when HELLO or HEARTBEAT was last sent */

    uint8_t output; /* bits of OUTPUT */
    uint8_t test;   /* bits of TEST, 0 when none runs */
    uint32_t test_until_ms;
};

/* Start. Reads the EEPROM and writes the boot counter (6 bytes; 10 after a watchdog reset): takes up to 35 ms. */
void board_start(struct board *board, enum reset_cause cause, uint32_t now_ms);

/* The ADC counts (0 to 1023, in ratio to the supply) of all inputs; every SAMPLE_EVERY_MS (10). */
void board_sample(struct board *board, const uint16_t adc[INPUTS], uint32_t now_ms);

/* One byte came in on the line. */
void board_receive(struct board *board, uint8_t byte, uint32_t now_ms);

/* Time has come to now_ms: every ms, or each turn of the main loop. Sends and writes EEPROM bytes as there is room. */
void board_tick(struct board *board, uint32_t now_ms);

/* What is driven now: the host's word, or the board's own while the host is silent. */
struct outputs board_outputs(const struct board *board, uint32_t now_ms);

#endif
