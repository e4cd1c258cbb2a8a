/* The numbers of TYB/1 (PROTOCOL.md, 3 and 8), and the two messages that are kept as structures. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <stdint.h>

/* Inputs of this board. An Uno with the DIP chip has six ADC pins: build it with -DINPUTS=6. At most 16 (ring.h). */
#ifndef INPUTS
#define INPUTS 8
#endif
_Static_assert(INPUTS >= 1 && INPUTS <= 16, "sixteen presses of sixteen inputs fill the ring");

/* Which inputs are panic buttons until a CONFIG says otherwise, bit 0 for input 0. All: what is not known yet is
 * treated as what must not be lost. */
#ifndef PANIC_INPUTS
#define PANIC_INPUTS 0xFFFFu
#endif

#define PROTOCOL 1
#define FIRMWARE_MAJOR 0
#define FIRMWARE_MINOR 1
#define FIRMWARE_PATCH 0

enum kind {
    KIND_HELLO = 1,
    KIND_EVENT,
    KIND_SNAPSHOT,
    KIND_HEARTBEAT,
    KIND_ACK,
    KIND_NAK,
    KIND_RESET,
    KIND_CONFIG,
    KIND_GET,
    KIND_OUTPUT,
    KIND_SYNC,
    KIND_SYNC_REPLY,
    KIND_ERROR,
    KIND_TEST,
};

enum line_state { UNKNOWN, NORMAL, ALARM, OPEN, SHORT, FAULT, TAMPER };
enum reset_cause { RESET_UNKNOWN, RESET_POWER_ON, RESET_EXTERNAL, RESET_BROWN_OUT, RESET_WATCHDOG };
enum nak_reason { NAK_GARBAGE = 1, NAK_OUT_OF_ORDER };
enum wanted { WANTED_SNAPSHOT = 1, WANTED_HEARTBEAT };
enum error_code { ERROR_BAD_MESSAGE = 1, ERROR_UNSUPPORTED, ERROR_BAD_INPUT };
enum input_kind { INPUT_PANIC = 1, INPUT_CONTACT };
enum input_mode { MODE_END_OF_LINE = 1, MODE_CLOSES_ON_ALARM, MODE_OPENS_ON_ALARM };

/* Bits of OUTPUT and of TEST. */
#define OUTPUT_SIREN 0x01
#define OUTPUT_LED 0x02

/* Bits of EVENT. */
#define EVENT_FROM_LATCH 0x01
#define EVENT_LOST_BEFORE 0x02

#define HELLO_BYTES 24
#define EVENT_BYTES 19
#define SNAPSHOT_BYTES (14 + (INPUTS + 1) / 2)
#define HEARTBEAT_BYTES 19
#define KEY_BYTES 8
#define CONFIG_BYTES 17

/* One input changed. `states` holds the state before in its upper four bits and the one after in its lower. */
struct event {
    uint32_t boot_id;
    uint32_t event_id;
    uint32_t t_ms;
    uint16_t adc;
    uint16_t count;
    uint8_t input;
    uint8_t states;
    uint8_t bits;
};

struct error {
    uint8_t code;
    uint8_t about;
};

/* The edges of a CONFIG, in ADC counts of 1023, in the order of the message. */
enum { SHORT_BELOW, NORMAL_FROM, NORMAL_TO, ALARM_FROM, ALARM_TO, OPEN_ABOVE, EDGES };

/* How one input is wired and judged. Which input it is, its place in the array says. */
struct config {
    uint8_t kind;
    uint8_t mode;
    uint16_t debounce_ms;
    uint16_t edge[EDGES];
};

#endif
