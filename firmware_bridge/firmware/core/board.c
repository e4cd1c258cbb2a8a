/* See board.h. */
#include "board.h"

#include "bytes.h"

#define HELLO_EVERY_MS 1000
#define HEARTBEAT_EVERY_MS 1000

/* No valid frame from the host for this long: the fault LED blinks and a press sounds the siren here. */
#define HOST_SILENT_MS 10000
#define BLINK_MS 500

/* A snapshot waits this long after the start for every input to settle; one that chatters on stays UNKNOWN. */
#define SETTLED_AFTER_MS 500

/* A moment further back than this is only "long ago". */
#define LONG_AGO_MS 131072u

enum under_way { UNDER_WAY_OTHER, UNDER_WAY_EVENT, UNDER_WAY_LOST_TOLD };

enum to_say { SAY_HELLO = 1, SAY_ACK = 2, SAY_NAK = 4, SAY_SYNC_REPLY = 8, SAY_HEARTBEAT = 16 };

static bool in_session(const struct board *board)
{
    return board->numbering.session != 0;
}

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

/* Send what waits in `to_say`, the most urgent first, as long as there is room. */
static void send_plain(struct board *board, uint32_t now_ms)
{
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

/* Say this now, or as soon as there is room and no numbered frame waits for it. */
static void say(struct board *board, enum to_say what, uint32_t now_ms)
{
    board->to_say = (uint8_t)(board->to_say | what);
    if (!board->starved && !board->numbering.asked)
        send_plain(board, now_ms);
}

static void say_nak(struct board *board, enum nak_reason reason, uint32_t now_ms)
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

/* Send the next numbered frame, if the line is free for one: events first, then what was asked. */
static void pump(struct board *board, uint32_t now_ms)
{
    board->starved = false;
    if (!in_session(board) || (board->to_say & SAY_HELLO) || !numbering_idle(&board->numbering))
        return;
    const uint8_t due = ring_next_due(&board->ring);
    const bool snapshot = board->want_snapshot && ring_all_received(&board->ring) && all_settled(board);
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

/* -- what the host says -- */

static void answer_error(struct board *board, enum error_code code, uint8_t about)
{
    if (board->errors >= ERRORS_MAX)
        return;
    board->error[board->errors].code = code;
    board->error[board->errors].about = about;
    board->errors++;
}

static uint16_t in_alarm(const struct board *board)
{
    uint16_t bits = 0;
    for (uint8_t input = 0; input < INPUTS; input++)
        if (board->inputs[input].state == ALARM)
            bits = (uint16_t)(bits | 1u << input);
    return bits;
}

/* True when the host may send this type, and the payload is long enough for it. */
static bool understood(const struct frame *frame)
{
    switch (frame->kind) {
    case KIND_HEARTBEAT:
    case KIND_ACK:
        return true;
    case KIND_NAK:
    case KIND_RESET:
    case KIND_GET:
    case KIND_OUTPUT:
        return frame->length >= 1;
    case KIND_TEST:
        return frame->length >= 2;
    case KIND_SYNC:
        return frame->length >= 4;
    case KIND_CONFIG:
        return frame->length >= CONFIG_BYTES;
    default:
        return false;
    }
}

static void on_committed(struct board *board, const struct frame *frame)
{
    for (uint8_t at = 0; at + KEY_BYTES <= frame->length; at += KEY_BYTES)
        ring_forget(&board->ring, &board->cells, get32(frame->payload + at), get32(frame->payload + at + 4),
                    in_alarm(board));
}

static void on_get(struct board *board, uint8_t wanted, uint32_t now_ms)
{
    if (wanted == WANTED_SNAPSHOT)
        board->want_snapshot = true;
    else if (wanted == WANTED_HEARTBEAT)
        say(board, SAY_HEARTBEAT, now_ms);
    else
        answer_error(board, ERROR_UNSUPPORTED, KIND_GET);
}

static void on_config(struct board *board, const uint8_t *payload)
{
    struct config config;
    if (payload[0] >= INPUTS) {
        answer_error(board, ERROR_BAD_INPUT, KIND_CONFIG);
    } else if (!config_get(&config, payload)) {
        answer_error(board, ERROR_UNSUPPORTED, KIND_CONFIG);
    } else {
        board->configs[payload[0]] = config;
        config_keep(&board->config_writer, payload[0]);
    }
}

static void on_message(struct board *board, const struct frame *frame, uint32_t now_ms)
{
    const uint8_t *payload = frame->payload;
    switch (frame->kind) {
    case KIND_ACK:
        on_committed(board, frame);
        break;
    case KIND_NAK:
        numbering_asked_again(&board->numbering, now_ms);
        if (board->numbering.asked && has_room())
            numbering_repeat(&board->numbering, now_ms);
        break;
    case KIND_SYNC:
        board->sync_token = get32(payload);
        board->sync_t_ms = now_ms;
        say(board, SAY_SYNC_REPLY, now_ms);
        break;
    case KIND_GET:
        on_get(board, payload[0], now_ms);
        break;
    case KIND_OUTPUT:
        board->output = payload[0];
        break;
    case KIND_TEST:
        board->test = payload[0];
        board->test_until_ms = now_ms + payload[1] * (uint32_t)1000;
        break;
    case KIND_CONFIG:
        on_config(board, payload);
        break;
    default:
        break;
    }
}

static void begin(struct board *board, uint8_t session, uint32_t now_ms)
{
    if (!numbering_idle(&board->numbering) && board->under_way == UNDER_WAY_LOST_TOLD)
        board->ring.lost = true; /* whether that snapshot came, nobody knows */
    numbering_begin(&board->numbering, session);
    ring_session_began(&board->ring);
    board->want_snapshot = board->starved = false;
    board->errors = 0;
    board->heard_ms = board->beat_ms = now_ms;
    board->to_say = 0;
    say(board, SAY_HELLO, now_ms);
}

static void on_frame(struct board *board, const struct frame *frame, uint32_t now_ms)
{
    const bool clear = understood(frame);
    if (clear && frame->kind == KIND_RESET) {
        if (frame->session != 0)
            begin(board, frame->session, now_ms);
        return;
    }
    if (!in_session(board))
        return;
    bool acknowledged;
    const enum verdict verdict = numbering_receive(&board->numbering, frame, &acknowledged);
    if (verdict == VERDICT_OTHER_SESSION)
        return;
    board->heard_ms = now_ms;
    if (acknowledged && board->under_way == UNDER_WAY_EVENT)
        ring_received(&board->ring, board->under_way_boot_id, board->under_way_event_id, now_ms);
    if (verdict == VERDICT_AHEAD) {
        say_nak(board, NAK_OUT_OF_ORDER, now_ms);
        return;
    }
    const bool numbered = frame->flags & FLAG_NUMBERED;
    if (verdict == VERDICT_NEW && clear)
        on_message(board, frame, now_ms);
    else if (verdict == VERDICT_NEW && numbered)
        answer_error(board, ERROR_BAD_MESSAGE, frame->kind);
    if (numbered)
        say(board, SAY_ACK, now_ms);
}

/* -- time -- */

static void drag_along(uint32_t *at_ms, uint32_t now_ms)
{
    if (now_ms - *at_ms > LONG_AGO_MS)
        *at_ms = now_ms - LONG_AGO_MS;
}

static void pass(struct board *board, uint32_t now_ms)
{
    drag_along(&board->heard_ms, now_ms);
    drag_along(&board->nak_ms, now_ms);
    if (has_come(board->settled_ms, now_ms))
        board->settled_by_now = true;
    if (board->test != 0 && has_come(board->test_until_ms, now_ms))
        board->test = 0;
    ring_tick(&board->ring, now_ms);
}

/* -- the interface -- */

void board_start(struct board *board, enum reset_cause cause, uint32_t now_ms)
{
    *board = (struct board){0};
    uint8_t ones = 0xFF, zeros = 0;
    for (uint8_t at = 0; at < UID_BYTES; at++) {
        board->uid[at] = hardware_eeprom_read(at);
        ones &= board->uid[at];
        zeros |= board->uid[at];
    }
    board->unnamed = ones == 0xFF || zeros == 0;
    board->boot_id = boot_count();
    board->reset_cause = (uint8_t)cause;
    board->watchdog_resets = watchdog_count(cause == RESET_WATCHDOG);
    cells_start(&board->cells);
    ring_start(&board->ring, &board->cells);
    for (uint8_t input = 0; input < INPUTS; input++) {
        if (!config_read(&board->configs[input], input))
            board->configs[input] = config_default((PANIC_INPUTS & 1u << input) != 0 ? INPUT_PANIC : INPUT_CONTACT);
        /* A press that EEPROM knows of is not made into a second one by a reset while the button is held. */
        const uint8_t state = ring_known_in_alarm(&board->cells, input) ? ALARM : UNKNOWN;
        board->inputs[input] = (struct settled){.state = state, .pending = state, .since_ms = now_ms};
    }
    board->heard_ms = board->nak_ms = now_ms;
    board->beat_ms = now_ms - HELLO_EVERY_MS;
    board->settled_ms = now_ms + SETTLED_AFTER_MS;
}

static void on_change(struct board *board, uint8_t input, const struct change *change, uint16_t adc)
{
    const uint8_t state = board->inputs[input].state;
    if (change->previous == ALARM)
        ring_restored(&board->cells, input);
    const bool press = board->configs[input].kind == INPUT_PANIC && state == ALARM;
    if (change->previous == UNKNOWN && !press)
        return; /* how things stood at the start is for the snapshot to tell */
    const struct event event = {
        .boot_id = board->boot_id,
        .event_id = ++board->last_event_id,
        .t_ms = change->at_ms,
        .adc = adc,
        .count = 1,
        .input = input,
        .states = (uint8_t)(change->previous << 4 | state),
    };
    ring_add(&board->ring, &board->cells, event, press);
    if (board->ring.lost)
        board->want_snapshot = true;
}

void board_sample(struct board *board, const uint16_t adc[INPUTS], uint32_t now_ms)
{
    pass(board, now_ms);
    for (uint8_t input = 0; input < INPUTS; input++) {
        struct settled *known = &board->inputs[input];
        const struct config *config = &board->configs[input];
        const uint8_t before = known->pending != UNKNOWN ? known->pending : known->state;
        const uint8_t seen = classify(adc[input], config, before);
        struct change change;
        if (debounce_step(known, seen, now_ms, config->debounce_ms, &change))
            on_change(board, input, &change, adc[input]);
    }
    pump(board, now_ms);
}

void board_receive(struct board *board, uint8_t byte, uint32_t now_ms)
{
    struct frame frame;
    const enum found found = deframer_feed(&board->deframer, byte, &frame);
    if (found == FOUND_NOTHING)
        return;
    pass(board, now_ms);
    if (found == FOUND_FRAME) {
        on_frame(board, &frame, now_ms);
    } else if (in_session(board) && now_ms - board->nak_ms >= NAK_EVERY_MS) {
        board->nak_ms = now_ms;
        say_nak(board, NAK_GARBAGE, now_ms);
    }
    pump(board, now_ms);
}

void board_tick(struct board *board, uint32_t now_ms)
{
    pass(board, now_ms);
    if (now_ms - board->beat_ms >= HEARTBEAT_EVERY_MS) {
        board->beat_ms = now_ms;
        say(board, in_session(board) ? SAY_HEARTBEAT : SAY_HELLO, now_ms);
    }
    numbering_tick(&board->numbering, now_ms);
    if (board->numbering.asked && has_room())
        numbering_repeat(&board->numbering, now_ms);
    pump(board, now_ms);
    if (!board->starved && !board->numbering.asked)
        send_plain(board, now_ms);
    while (cells_write(&board->cells)) {
    }
    while (config_write(&board->config_writer, board->configs)) {
    }
}

struct outputs board_outputs(const struct board *board, uint32_t now_ms)
{
    uint8_t driven = board->output;
    if (board->test != 0 && !has_come(board->test_until_ms, now_ms))
        driven |= board->test;
    const bool alone = now_ms - board->heard_ms >= HOST_SILENT_MS;
    return (struct outputs){
        .siren = (driven & OUTPUT_SIREN) || (alone && ring_presses(&board->ring) > 0),
        .led = driven & OUTPUT_LED,
        .fault_led = board->unnamed || (alone && now_ms / BLINK_MS % 2 == 0),
    };
}
