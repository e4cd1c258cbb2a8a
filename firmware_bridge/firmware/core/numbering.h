/* The numbered half of the link, one session long (PROTOCOL.md, 4 to 6).
 *
 * Invariants
 * 1. A numbered frame is given to the caller exactly once per session, in the order in which it was sent.
 * 2. A numbered frame is repeated until `ack_seq` of the host has passed it or the session ends; never given up.
 * 3. Frames of another session change nothing here.
 */
#ifndef NUMBERING_H
#define NUMBERING_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"

#define NAK_EVERY_MS 50

/* The longest numbered message that a board sends. */
#define NUMBERED_MAX (SNAPSHOT_BYTES > EVENT_BYTES ? SNAPSHOT_BYTES : EVENT_BYTES)

enum verdict { VERDICT_NEW, VERDICT_REPEAT, VERDICT_AHEAD, VERDICT_OTHER_SESSION };

struct numbering {
    uint8_t session; /* 1 to 15, 0 for none */
    uint8_t next;
    uint8_t expected;
    uint8_t kind; /* of the outstanding frame; 0 when nothing is under way */
    uint8_t length;
    uint8_t payload[NUMBERED_MAX];
    uint8_t tries;
    bool asked; /* to be repeated as soon as there is room */
    uint32_t sent_ms;
    uint16_t resent; /* stops at 65535 */
};

/* A session begins: both sides number from 0, nothing is under way. */
void numbering_begin(struct numbering *numbering, uint8_t session);

/* True when the next numbered frame may be sent. */
bool numbering_idle(const struct numbering *numbering);

/* Send an unnumbered frame; it carries the acknowledgement like any other. Only when there is room. */
void numbering_plain(const struct numbering *numbering, uint8_t kind, const uint8_t *payload, uint8_t length);

/* Send the next numbered frame. Only while idle, and when there is room. */
void numbering_send(struct numbering *numbering, uint8_t kind, const uint8_t *payload, uint8_t length, uint32_t now_ms);

/* What `frame` is. *acknowledged says whether it acknowledged the outstanding frame. A NEW one is now taken. */
enum verdict numbering_receive(struct numbering *numbering, const struct frame *frame, bool *acknowledged);

/* A NAK came: the outstanding frame is to be repeated, unless it was sent a moment ago. */
void numbering_asked_again(struct numbering *numbering, uint32_t now_ms);

/* Time passes: an outstanding frame whose wait is over is to be repeated. */
void numbering_tick(struct numbering *numbering, uint32_t now_ms);

/* Send the outstanding frame once more. Only while it is `asked` for, and when there is room. */
void numbering_repeat(struct numbering *numbering, uint32_t now_ms);

#endif
