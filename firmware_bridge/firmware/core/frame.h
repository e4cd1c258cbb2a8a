/* TYB/1 frames: COBS, CRC, the header, and finding frames in a stream of bytes (PROTOCOL.md, 2 and 3).
 *
 * Invariants
 * 1. `held` is never written past its end, whatever bytes come.
 * 2. A frame whose CRC, version or type is wrong is counted and never given out.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "messages.h"

#define FRAME_MAX 64 /* on the line, with COBS and delimiter */
#define HEADER_BYTES 4
#define CRC_BYTES 2

/* The longest that this board sends, with one byte of COBS and the delimiter: HELLO, 32 bytes, up to 20 inputs. */
#define FRAME_SENT_MAX (1 + HEADER_BYTES + HELLO_BYTES + CRC_BYTES + 1)
_Static_assert(SNAPSHOT_BYTES <= HELLO_BYTES && EVENT_BYTES <= HELLO_BYTES && HEARTBEAT_BYTES <= HELLO_BYTES,
               "HELLO is the longest");

#define FLAG_NUMBERED 0x01
#define FLAG_REPEATED 0x02

#define CRC_START 0xFFFFu

/* What came in: the frame without COBS and CRC. `payload` points into the deframer and lasts until its next byte. */
struct frame {
    uint8_t kind;
    uint8_t flags;
    uint8_t session;
    uint8_t tx_seq;
    uint8_t ack_seq;
    uint8_t length;
    const uint8_t *payload;
};

struct deframer {
    uint8_t held[FRAME_MAX];
    uint8_t n;
    bool skipping;       /* too long for any frame: noise up to the next delimiter */
    uint16_t bad_frames; /* stops at 65535 */
};

enum found { FOUND_NOTHING, FOUND_FRAME, FOUND_GARBAGE };

/* CRC-16/CCITT-FALSE of one more byte; a whole CRC starts at CRC_START. */
uint16_t crc16_add(uint16_t crc, uint8_t byte);

/* CRC-16/CCITT-FALSE. "123456789" gives 0x29B1. */
uint16_t crc16(const uint8_t *bytes, uint8_t n);

/* Give one frame to the hardware. Only when there is room for FRAME_SENT_MAX; `length` at most HELLO_BYTES. */
void frame_send(uint8_t kind, uint8_t flags, uint8_t tx_seq, uint8_t ack_seq, const uint8_t *payload, uint8_t length);

/* One byte came in. FOUND_FRAME fills *frame; FOUND_GARBAGE: what ended here was no frame, and has been counted. */
enum found deframer_feed(struct deframer *deframer, uint8_t byte, struct frame *frame);

#endif
