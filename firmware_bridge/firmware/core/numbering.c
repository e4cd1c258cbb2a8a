/* See numbering.h. `next` is the number of the outstanding frame while there is one. */
#include "numbering.h"

#include "bytes.h"

/* Wait before each repeat; the last one stays. */
static const uint16_t RESEND_AFTER_MS[] = {100, 200, 400, 800};
#define LAST_WAIT (sizeof RESEND_AFTER_MS / sizeof RESEND_AFTER_MS[0] - 1)

void numbering_begin(struct numbering *numbering, uint8_t session)
{
    numbering->session = session;
    numbering->next = 0;
    numbering->expected = 0;
    numbering->kind = 0;
    numbering->asked = false;
}

bool numbering_idle(const struct numbering *numbering)
{
    return numbering->kind == 0;
}

void numbering_plain(const struct numbering *numbering, uint8_t kind, const uint8_t *payload, uint8_t length)
{
    frame_send(kind, (uint8_t)(numbering->session << 4), numbering->next, numbering->expected, payload, length);
}

static void send_outstanding(struct numbering *numbering, uint8_t repeated, uint32_t now_ms)
{
    numbering->sent_ms = now_ms;
    frame_send(numbering->kind, (uint8_t)(numbering->session << 4 | FLAG_NUMBERED | repeated), numbering->next,
               numbering->expected, numbering->payload, numbering->length);
}

void numbering_send(struct numbering *numbering, uint8_t kind, const uint8_t *payload, uint8_t length, uint32_t now_ms)
{
    numbering->kind = kind;
    numbering->length = length;
    for (uint8_t at = 0; at < length; at++)
        numbering->payload[at] = payload[at];
    numbering->tries = 0;
    numbering->asked = false;
    send_outstanding(numbering, 0, now_ms);
}

enum verdict numbering_receive(struct numbering *numbering, const struct frame *frame, bool *acknowledged)
{
    *acknowledged = false;
    if (frame->session != numbering->session)
        return VERDICT_OTHER_SESSION;
    if (numbering->kind != 0 && frame->ack_seq == (uint8_t)(numbering->next + 1)) {
        *acknowledged = true;
        numbering->kind = 0;
        numbering->asked = false;
        numbering->next++;
    }
    if (!(frame->flags & FLAG_NUMBERED))
        return VERDICT_NEW;
    if (frame->tx_seq == numbering->expected) {
        numbering->expected++;
        return VERDICT_NEW;
    }
    const uint8_t behind = (uint8_t)(numbering->expected - frame->tx_seq);
    return behind <= 128 ? VERDICT_REPEAT : VERDICT_AHEAD;
}

void numbering_asked_again(struct numbering *numbering, uint32_t now_ms)
{
    if (numbering->kind != 0 && now_ms - numbering->sent_ms >= NAK_EVERY_MS)
        numbering->asked = true;
}

void numbering_tick(struct numbering *numbering, uint32_t now_ms)
{
    if (numbering->kind == 0 || numbering->asked)
        return;
    if (!has_come(numbering->sent_ms + RESEND_AFTER_MS[numbering->tries], now_ms))
        return;
    if (numbering->tries < LAST_WAIT)
        numbering->tries++;
    numbering->asked = true;
}

void numbering_repeat(struct numbering *numbering, uint32_t now_ms)
{
    numbering->asked = false;
    if (numbering->resent < UINT16_MAX)
        numbering->resent++;
    send_outstanding(numbering, FLAG_REPEATED, now_ms);
}
