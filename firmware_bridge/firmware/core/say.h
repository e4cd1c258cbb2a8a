/* What the board says: which frames wait, and in which order they go when the line has room (PROTOCOL.md, 6).
 *
 * Invariants
 * 1. A frame is given to the hardware only when there is room for it.
 * 2. HELLO goes before everything else of its session, and what is numbered before what is not.
 * 3. Of each unnumbered frame the newest waits, and no other.
 */
#ifndef SAY_H
#define SAY_H

#include "board.h"

enum under_way { UNDER_WAY_OTHER, UNDER_WAY_EVENT, UNDER_WAY_LOST_TOLD };

enum to_say { SAY_HELLO = 1, SAY_ACK = 2, SAY_NAK = 4, SAY_SYNC_REPLY = 8, SAY_HEARTBEAT = 16 };

/* Say this now, or as soon as there is room and no numbered frame waits for it. */
void say(struct board *board, enum to_say what, uint32_t now_ms);
void say_nak(struct board *board, enum nak_reason reason, uint32_t now_ms);

/* An answer ERROR is to be sent. */
void say_error(struct board *board, enum error_code code, uint8_t about);

/* Repeat the outstanding numbered frame, if that was asked for and there is room. */
void say_again(struct board *board, uint32_t now_ms);

/* Send the next numbered frame, if the line is free for one: events first, then what was asked. */
void say_next(struct board *board, uint32_t now_ms);

/* Send what waits and is not numbered, unless a numbered frame waits for room. */
void say_waiting(struct board *board, uint32_t now_ms);

#endif
