/* See say.h. */
#include "say.h"

#include "bytes.h"

static bool has_room(void)
{
    return hardware_send_room() >= FRAME_SENT_MAX;
}

/* -- unnumbered frames -- */

static void send_hello(const struct board *board, uint32_t now_ms)
{
    uint8_t payload[HELLO_BYTES] = {PROTOCOL, FIRMWARE_MAJOR, FIRMWARE_MINOR, FIRMWARE_PATCH};
    uint16_t config_crc = CRC_START;
    for (uint8_t input = 0; input < INPUTS; input++) {
        uint8_t config[CONFIG_BYTES];
        config_put(&board->configs[input], input, config);
        for (uint8_t at = 0; at < CONFIG_BYTES; at++)
            config_crc = crc16_add(config_crc, config[at]);
    }
    for (uint8_t at = 0; at < UID_BYTES; at++)
        payload[4 + at] = board->uid[at];
    put32(payload + 12, board->boot_id);
    payload[16] = board->reset_cause;
    payload[17] = INPUTS;
    put16(payload + 18, config_crc);
    put32(payload + 20, now_ms);
    numbering_plain(&board->numbering, KIND_HELLO, payload, sizeof payload);
}

static void send_heartbeat(const struct board *board, uint32_t now_ms)
{
    uint8_t payload[HEARTBEAT_BYTES];
    const uint32_t silent_ms = now_ms - board->heard_ms;
    put32(payload, now_ms);
    put16(payload + 4, hardware_free_ram());
    put16(payload + 6, hardware_supply_mv());
    payload[8] = board->ring.n;
    put16(payload + 9, ring_age_ms(&board->ring, now_ms));
    put16(payload + 11, board->deframer.bad_frames);
    put16(payload + 13, board->numbering.resent);
    put16(payload + 15, board->watchdog_resets);
    put16(payload + 17, silent_ms > UINT16_MAX ? UINT16_MAX : (uint16_t)silent_ms);
    numbering_plain(&board->numbering, KIND_HEARTBEAT, payload, sizeof payload);
}

static void send_sync_reply(const struct board *board)
{
    uint8_t payload[8];
    put32(put32(payload, board->sync_token), board->sync_t_ms);
    numbering_plain(&board->numbering, KIND_SYNC_REPLY, payload, sizeof payload);
}

void say_waiting(struct board *board, uint32_t now_ms)
{
    if (board->starved || board->numbering.asked)
        return;
    while (board->to_say != 0 && has_room()) {
        const uint8_t bit = (uint8_t)(board->to_say & -board->to_say);
        board->to_say = (uint8_t)(board->to_say & ~bit);
        switch (bit) {
        case SAY_HELLO:
            send_hello(board, now_ms);
            break;
        case SAY_ACK:
            numbering_plain(&board->numbering, KIND_ACK, 0, 0);
            break;
        case SAY_NAK:
            numbering_plain(&board->numbering, KIND_NAK, &board->nak_reason, 1);
            break;
        case SAY_SYNC_REPLY:
            send_sync_reply(board);
            break;
        default:
            send_heartbeat(board, now_ms);
            break;
        }
    }
}

void say(struct board *board, enum to_say what, uint32_t now_ms)
{
    board->to_say = (uint8_t)(board->to_say | what);
    say_waiting(board, now_ms);
}

void say_nak(struct board *board, enum nak_reason reason, uint32_t now_ms)
{
    board->nak_reason = reason;
    say(board, SAY_NAK, now_ms);
}

/* -- numbered frames -- */

static bool all_settled(const struct board *board)
{
    if (board->settled_by_now)
        return true;
    for (uint8_t input = 0; input < INPUTS; input++)
        if (board->inputs[input].state == UNKNOWN)
            return false;
    return true;
}

static void send_event(struct board *board, const struct event *event, uint32_t now_ms)
{
    uint8_t payload[EVENT_BYTES];
    put32(payload, event->boot_id);
    put32(payload + 4, event->event_id);
    put32(payload + 8, event->t_ms);
    payload[12] = event->input;
    payload[13] = event->states;
    put16(payload + 14, event->adc);
    put16(payload + 16, event->count);
    payload[18] = event->bits;
    board->under_way = UNDER_WAY_EVENT;
    board->under_way_boot_id = event->boot_id;
    board->under_way_event_id = event->event_id;
    numbering_send(&board->numbering, KIND_EVENT, payload, sizeof payload, now_ms);
}

static void send_error(struct board *board, uint32_t now_ms)
{
    const uint8_t payload[2] = {board->error[0].code, board->error[0].about};
    board->errors--;
    for (uint8_t at = 0; at < board->errors; at++)
        board->error[at] = board->error[at + 1];
    board->under_way = UNDER_WAY_OTHER;
    numbering_send(&board->numbering, KIND_ERROR, payload, sizeof payload, now_ms);
}

static void send_snapshot(struct board *board, uint32_t now_ms)
{
    uint8_t payload[SNAPSHOT_BYTES] = {0};
    put32(payload, board->boot_id);
    put32(payload + 4, now_ms);
    put32(payload + 8, board->last_event_id);
    payload[12] = board->ring.lost;
    payload[13] = INPUTS;
    for (uint8_t input = 0; input < INPUTS; input++)
        payload[14 + input / 2] |= (uint8_t)(board->inputs[input].state << (input % 2 ? 0 : 4));
    board->under_way = board->ring.lost ? UNDER_WAY_LOST_TOLD : UNDER_WAY_OTHER;
    board->want_snapshot = board->ring.lost = false;
    numbering_send(&board->numbering, KIND_SNAPSHOT, payload, sizeof payload, now_ms);
}

void say_next(struct board *board, uint32_t now_ms)
{
    board->starved = false;
    if (board->numbering.session == 0 || (board->to_say & SAY_HELLO) || !numbering_idle(&board->numbering))
        return;
    const uint8_t due = ring_next_due(&board->ring);
    const bool snapshot = board->want_snapshot && all_settled(board);
    if (due == PLACES && board->errors == 0 && !snapshot)
        return;
    if (!has_room())
        board->starved = true;
    else if (due != PLACES)
        send_event(board, &board->ring.held[due].event, now_ms);
    else if (board->errors > 0)
        send_error(board, now_ms);
    else
        send_snapshot(board, now_ms);
}

void say_error(struct board *board, enum error_code code, uint8_t about)
{
    if (board->errors >= ERRORS_MAX)
        return;
    board->error[board->errors].code = code;
    board->error[board->errors].about = about;
    board->errors++;
}

void say_again(struct board *board, uint32_t now_ms)
{
    if (board->numbering.asked && has_room())
        numbering_repeat(&board->numbering, now_ms);
}
