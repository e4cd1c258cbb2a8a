/* What hangs on the chip: inputs, outputs, the serial line, and the log of it all. */
#ifndef WIRES_H
#define WIRES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include "sim_avr.h"

#define HZ 16000000ULL
#define CYCLES_PER_US (HZ / 1000000)
#define INPUTS 8
#define SIREN 0x10 /* bits of port D, as firmware_bridge/firmware/atmega328p/pins.h has them */
#define STROBE 0x20
#define FAULT_LED 0x40
#define ONBOARD_LED 0x20 /* of port B */

struct input {
    int mv; /* at a supply of 5 V; an input divides the supply, so it moves with it */
    uint64_t bounces_until;
    uint64_t release_at; /* 0: not pressed for a time */
    int release_mv;
    int release_bounce_us;
    unsigned edge_cycles; /* between two edges of a contact that chatters, on average; 0: it does not */
    uint64_t edge_at;
    int other_mv; /* what it reads after the next edge */
    int home_mv;  /* and before the first */
};

extern avr_t *avr;
extern struct input input[INPUTS];
extern int noise_mv;
extern unsigned edges; /* of contacts that chatter */
extern unsigned loss_permille; /* of the bytes on the line, both ways */
extern FILE *journal;
extern const char *link_path; /* of the pseudo-terminal; NULL: there is none */
extern int master;
extern bool opened; /* somebody has the pseudo-terminal open */
extern uint8_t outputs;
extern char changes[8192]; /* of the outputs since they were last asked for, as JSON */
extern uint8_t sent[8192]; /* by the chip and not yet taken */
extern unsigned sent_n;
extern bool frame_ended; /* a delimiter was sent */
extern unsigned lost_bytes;

long long clock_ns(clockid_t id);
unsigned long long chip_us(void);

/* One line of the log: `format` without braces, and the times. */
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);

void wires_start(void);

/* To be called every 0.1 ms of the chip's time. */
void wires_turn(void);

void input_move(int number, int mv, int bounce_us);

/* So many edges a second, at uneven times, between what it reads now and `mv`; 0: it reads again what it did. */
void input_chatter(int number, int mv, unsigned edges_per_s);

/* The outputs are now what port D says; 0 in a reset and without power. */
void outputs_changed(uint8_t port);

/* Bytes for the board; they arrive one after the other. */
void line_hear(const uint8_t *bytes, ssize_t n);
void line_forget(void);
void line_open(void);
void line_close(void);

#endif
