/* See board.h. */
#include "board.h"

#include "bytes.h"
#include "say.h"

#define HELLO_EVERY_MS 1000
#define HEARTBEAT_EVERY_MS 1000

/* No valid frame from the host for this long: the fault LED blinks and a press sounds the siren here. */
#define HOST_SILENT_MS 10000
#define BLINK_MS 500

/* A snapshot waits this long after the start for every input to settle; one that chatters on stays UNKNOWN. */
#define SETTLED_AFTER_MS 500

/* A moment further back than this is only "long ago". */
#define LONG_AGO_MS 131072u

static bool in_session(const struct board *board)
{
    return board->numbering.session != 0;
}

/* -- what the host says -- */

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
        say_error(board, ERROR_UNSUPPORTED, KIND_GET);
}

static void on_config(struct board *board, const uint8_t *payload)
{
    struct config config;
    if (payload[0] >= INPUTS) {
        say_error(board, ERROR_BAD_INPUT, KIND_CONFIG);
    } else if (!config_get(&config, payload)) {
        say_error(board, ERROR_UNSUPPORTED, KIND_CONFIG);
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
        say_again(board, now_ms);
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
        say_error(board, ERROR_BAD_MESSAGE, frame->kind);
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
    say_next(board, now_ms);
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
    say_next(board, now_ms);
}

void board_tick(struct board *board, uint32_t now_ms)
{
    pass(board, now_ms);
    if (now_ms - board->beat_ms >= HEARTBEAT_EVERY_MS) {
        board->beat_ms = now_ms;
        say(board, in_session(board) ? SAY_HEARTBEAT : SAY_HELLO, now_ms);
    }
    numbering_tick(&board->numbering, now_ms);
    say_again(board, now_ms);
    say_next(board, now_ms);
    say_waiting(board, now_ms);
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
