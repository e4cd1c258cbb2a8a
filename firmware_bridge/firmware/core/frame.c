/* See frame.h. COBS is done in place: a coded row is one byte longer than its data, so each code byte stands where
 * a zero was, and the first one before the data. */
#include "frame.h"

#include "bytes.h"
#include "hardware.h"

#define VERSION 1

uint16_t crc16_add(uint16_t crc, uint8_t byte)
{
    crc = (uint16_t)(crc ^ (uint16_t)byte << 8);
    for (uint8_t bit = 0; bit < 8; bit++) {
        const bool carry = crc & 0x8000u;
        crc = (uint16_t)(crc << 1);
        if (carry)
            crc ^= 0x1021u;
    }
    return crc;
}

uint16_t crc16(const uint8_t *bytes, uint8_t n)
{
    uint16_t crc = CRC_START;
    for (uint8_t at = 0; at < n; at++)
        crc = crc16_add(crc, bytes[at]);
    return crc;
}

void frame_send(uint8_t kind, uint8_t flags, uint8_t tx_seq, uint8_t ack_seq, const uint8_t *payload, uint8_t length)
{
    uint8_t line[FRAME_SENT_MAX];
    uint8_t *body = line + 1;
    body[0] = (uint8_t)(VERSION << 4 | kind);
    body[1] = flags;
    body[2] = tx_seq;
    body[3] = ack_seq;
    for (uint8_t at = 0; at < length; at++)
        body[HEADER_BYTES + at] = payload[at];
    const uint8_t checked = (uint8_t)(HEADER_BYTES + length);
    put16(body + checked, crc16(body, checked));

    const uint8_t end = (uint8_t)(1 + checked + CRC_BYTES);
    uint8_t code_at = 0;
    for (uint8_t at = 1; at < end; at++) {
        if (line[at] == 0) {
            line[code_at] = (uint8_t)(at - code_at);
            code_at = at;
        }
    }
    line[code_at] = (uint8_t)(end - code_at);
    line[end] = 0;
    hardware_send(line, (uint8_t)(end + 1));
}

/* Take the COBS off `held`, which has no zero in it; the data then begin at held[1]. False: broken. */
static bool uncover(uint8_t *held, uint8_t n)
{
    uint8_t at = 0;
    while (at < n) {
        const uint8_t code = held[at];
        if (code > n - at)
            return false;
        held[at] = 0;
        at = (uint8_t)(at + code);
    }
    return true;
}

static bool judge(struct deframer *deframer, struct frame *frame)
{
    const uint8_t n = deframer->n;
    if (n < 1 + HEADER_BYTES + CRC_BYTES || !uncover(deframer->held, n))
        return false;
    const uint8_t *body = deframer->held + 1;
    const uint8_t checked = (uint8_t)(n - 1 - CRC_BYTES);
    if (crc16(body, checked) != get16(body + checked) || body[0] >> 4 != VERSION)
        return false;
    frame->kind = body[0] & 0x0F;
    frame->flags = body[1];
    frame->session = body[1] >> 4;
    frame->tx_seq = body[2];
    frame->ack_seq = body[3];
    frame->length = (uint8_t)(checked - HEADER_BYTES);
    frame->payload = body + HEADER_BYTES;
    return frame->kind >= KIND_HELLO && frame->kind <= KIND_TEST;
}

enum found deframer_feed(struct deframer *deframer, uint8_t byte, struct frame *frame)
{
    if (byte != 0) {
        if (deframer->skipping)
            return FOUND_NOTHING;
        deframer->held[deframer->n++] = byte;
        if (deframer->n >= FRAME_MAX) {
            deframer->n = 0;
            deframer->skipping = true;
        }
        return FOUND_NOTHING;
    }
    if (!deframer->skipping && deframer->n == 0)
        return FOUND_NOTHING; /* two delimiters in a row */
    const bool good = !deframer->skipping && judge(deframer, frame);
    deframer->skipping = false;
    deframer->n = 0;
    if (good)
        return FOUND_FRAME;
    if (deframer->bad_frames < UINT16_MAX)
        deframer->bad_frames++;
    return FOUND_GARBAGE;
}
