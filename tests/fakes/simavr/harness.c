/* The board's microcontroller in simavr, with what surrounds it: serial line, inputs, outputs, EEPROM, power.
 *
 *   harness ELF EEPROM_FILE LOG_FILE [LINK]
 *
 * With LINK the chip runs in real time (by CLOCK_MONOTONIC) and its line is a pseudo-terminal at that symbolic link.
 * Without, time goes only by the command `run`, as fast as it can. The chip begins without power. One command a line on
 * stdin, one JSON object a line in answer on stdout:
 *
 *   plug FLAGS             power on; FLAGS: what MCUSR holds (1 power-on, 2 external, 4 brown-out, 8 watchdog)
 *   unplug TORN            power off; TORN 1: the EEPROM byte that is being written is left erased
 *   reset FLAGS            the reset pin, or a brown-out; the port stays
 *   boot LOADER MS         0 none, 1 passes MCUSR on in r2, 2 keeps it to itself; opening the port starts it, for MS
 *   move INPUT MV BOUNCE_US WHAT STATE       an input reads MV from now on; the log says WHAT and STATE
 *   press N INPUT MV THEN_MV HOLD_US BOUNCE_US
 *   chatter INPUT MV EDGES_PER_S             a contact that chatters between what it reads and MV; 0: no more
 *   loss PERMILLE          of the bytes on the line, both ways
 *   noise MV, supply MV    what every reading is off by at most; the voltage that inputs and ADC share
 *   run US HEX|-           let US go by or until a frame was sent, with these bytes for the board
 *   inject HEX             noise on the line to the host
 *   hang INTERRUPTS        the program goes round in one place, with interrupts (1) or without (0)
 *   peek ADDRESS N, poke ADDRESS BYTE        data space: registers and RAM
 *   status
 *
 * Invariants
 * 1. EEPROM_FILE is the EEPROM itself (mapped): kill -9 at any moment is a power cut.
 * 2. What moves an input is written to LOG_FILE before it moves; outputs when they change. Nothing is ever rewritten.
 * 3. Bytes take their time on the line both ways; what nobody reads is lost.
 * 4. An output counts as on as soon as its level is 1, also as a mere pull-up.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chip.h"
#include "wires.h"

#define DDRB_AT 0x24
#define PORTB_AT 0x25
#define SLICE_NS 500000LL
#define SLIP_NS 250000000LL /* later than this is not made up for: the chip's time then stands still for a while */
#define EXTERNAL_RESET 2    /* EXTRF */

static FILE *answers;
static long long epoch_ns;      /* real time at cycle 0 */
static long long held_until_ns; /* the boot loader runs until then; 0: it does not run */
static int boot_ms;
static unsigned slips;

static void answer_run(void)
{
    fprintf(answers, "{\"us\": %llu, \"sent\": \"", chip_us());
    for (unsigned at = 0; at < sent_n; at++) {
        fprintf(answers, "%02x", sent[at]);
    }
    fprintf(answers, "\", \"outputs\": [%s]}\n", changes);
    sent_n = 0;
    changes[0] = 0;
}

static void answer_status(void)
{
    fprintf(answers,
            "{\"us\": %llu, \"plugged\": %s, \"siren\": %s, \"strobe\": %s, \"fault_led\": %s, \"onboard_led\": %s, "
            "\"resets\": %u, \"slips\": %u, \"lost_bytes\": %u, \"eeprom_writes\": %u, \"edges\": %u, \"outputs\": [%s]}\n",
            chip_us(), plugged ? "true" : "false", outputs & SIREN ? "true" : "false",
            outputs & STROBE ? "true" : "false", outputs & FAULT_LED ? "true" : "false",
            avr->data[PORTB_AT] & avr->data[DDRB_AT] & ONBOARD_LED ? "true" : "false", resets, slips, lost_bytes,
            eeprom_writes, edges, changes);
    changes[0] = 0;
}

static ssize_t from_hex(const char *text, uint8_t *bytes, size_t most)
{
    size_t n = 0;
    unsigned byte;
    for (; n < most && sscanf(text, "%2x", &byte) == 1 && text[0] && text[1]; text += 2) {
        bytes[n++] = (uint8_t)byte;
    }
    return (ssize_t)n;
}

/* The chip's time goes on from now. */
static void set_epoch(void)
{
    epoch_ns = clock_ns(CLOCK_MONOTONIC) - (long long)(avr->cycle * 1000 / CYCLES_PER_US);
}

static void command(const char *line)
{
    char what[32], state[32], more[4100] = "-";
    unsigned a, b, c, d, e;
    uint8_t bytes[2048];
    if (sscanf(line, "run %u %4095s", &a, more) >= 1) {
        line_hear(bytes, from_hex(more, bytes, sizeof bytes));
        if (plugged) {
            chip_run(avr->cycle + a * CYCLES_PER_US, true);
        } else {
            avr->cycle += a * CYCLES_PER_US;
        }
        answer_run();
        return;
    }
    if (!strncmp(line, "status", 6)) {
        answer_status();
        return;
    }
    if (sscanf(line, "peek %u %u", &a, &b) == 2) {
        fputs("{\"bytes\": \"", answers);
        for (; b--; a++) {
            fprintf(answers, "%02x", avr->data[a]);
        }
        fputs("\"}\n", answers);
        return;
    }
    if (sscanf(line, "move %u %u %u %31s %31s", &a, &b, &c, what, state) == 5 && a < INPUTS) {
        note("\"what\": \"%s\", \"input\": %u, \"state\": \"%s\"", what, a, state);
        input[a].release_at = 0;
        input_move((int)a, (int)b, (int)c);
    } else if (sscanf(line, "press %u %u %u %u %u %31s", &a, &b, &c, &d, &e, more) == 6 && b < INPUTS) {
        bool held = input[b].mv == (int)c;
        note("\"what\": \"%s\", \"input\": %u, \"state\": \"alarm\", \"n\": %u, \"hold_s\": %.6f",
             held ? "held" : "press", b, a, e / 1e6);
        input_move((int)b, (int)c, atoi(more));
        input[b].release_at = avr->cycle + e * CYCLES_PER_US;
        input[b].release_mv = (int)d;
        input[b].release_bounce_us = atoi(more);
    } else if (sscanf(line, "chatter %u %u %u", &a, &b, &c) == 3 && a < INPUTS) {
        note("\"what\": \"chatter\", \"input\": %u, \"edges_per_s\": %u", a, c);
        input_chatter((int)a, (int)b, c);
    } else if (sscanf(line, "loss %u", &a) == 1) {
        loss_permille = a;
    } else if (sscanf(line, "plug %u", &a) == 1) {
        chip_plug((uint8_t)a);
        set_epoch();
    } else if (sscanf(line, "unplug %u", &a) == 1) {
        chip_unplug(a != 0);
    } else if (sscanf(line, "reset %u", &a) == 1) {
        chip_reset((uint8_t)a);
    } else if (sscanf(line, "boot %u %u", &a, &b) == 2) {
        boot_loader = (enum boot_loader)a;
        boot_ms = (int)b;
    } else if (sscanf(line, "supply %u", &a) == 1) {
        avr->vcc = avr->avcc = avr->aref = a;
    } else if (sscanf(line, "noise %u", &a) == 1) {
        noise_mv = (int)a;
    } else if (sscanf(line, "poke %u %u", &a, &b) == 2) {
        avr->data[a] = (uint8_t)b;
    } else if (sscanf(line, "hang %u", &a) == 1) {
        chip_hang(a != 0);
    } else if (sscanf(line, "inject %4095s", more) == 1) {
        ssize_t n = from_hex(more, bytes, sizeof bytes);
        lost_bytes += master >= 0 && write(master, bytes, (size_t)n) == n ? 0 : 1;
    } else {
        fputs("{\"error\": \"no such command\"}\n", answers);
        return;
    }
    fputs("{}\n", answers);
}

/* -- turning it -- */

static void listen_to_line(short events)
{
    uint8_t bytes[512];
    bool now_open = !(events & POLLHUP);
    if (now_open && !opened && boot_ms) { /* opening raises DTR, which pulls the reset line of an Uno */
        held_until_ns = clock_ns(CLOCK_MONOTONIC) + boot_ms * 1000000LL;
        outputs_changed(0);
    }
    opened = now_open;
    if (events & POLLIN) {
        ssize_t n = read(master, bytes, sizeof bytes);
        if (n > 0 && !held_until_ns) {
            line_hear(bytes, n);
        }
    }
}

/* Run the chip up to now. */
static void catch_up(void)
{
    if (held_until_ns) {
        if (clock_ns(CLOCK_MONOTONIC) < held_until_ns) {
            return;
        }
        held_until_ns = 0;
        chip_reset(EXTERNAL_RESET);
        set_epoch();
    }
    long long behind_ns = clock_ns(CLOCK_MONOTONIC) - epoch_ns - (long long)(avr->cycle * 1000 / CYCLES_PER_US);
    if (behind_ns > SLIP_NS) {
        slips++;
        set_epoch();
    } else if (behind_ns > 0) {
        chip_run(avr->cycle + (uint64_t)behind_ns * CYCLES_PER_US / 1000, false);
    }
}

static void turn(void)
{
    static char lines[16384];
    static size_t held;
    while (!crashed) {
        struct pollfd ends[2] = {{.fd = 0, .events = POLLIN}, {.fd = master, .events = POLLIN}};
        struct timespec slice = {.tv_nsec = SLICE_NS};
        const bool heard = master >= 0 && opened; /* while nobody has it open a pseudo-terminal never lets one wait */
        ppoll(ends, heard ? 2 : 1, link_path && plugged ? &slice : NULL, NULL);
        if (master >= 0 && !heard) {
            poll(ends + 1, 1, 0);
        }
        if (link_path && plugged && master >= 0) {
            listen_to_line(ends[1].revents);
            catch_up();
        }
        if (ends[0].revents) {
            ssize_t n = read(0, lines + held, sizeof lines - 1 - held);
            if (n <= 0) {
                return;
            }
            held += (size_t)n;
            lines[held] = 0;
            for (char *end; (end = strchr(lines, '\n')) != NULL;) {
                *end = 0;
                command(lines);
                fflush(answers);
                held -= (size_t)(end + 1 - lines);
                memmove(lines, end + 1, held + 1);
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("harness ELF EEPROM_FILE LOG_FILE [LINK]\n", stderr);
        return 2;
    }
    answers = fdopen(dup(1), "w");
    dup2(2, 1); /* simavr talks on stdout */
    journal = fopen(argv[3], "a");
    link_path = argc > 4 ? argv[4] : NULL;
    if (!journal || !answers || !chip_make(argv[1], argv[2])) {
        fprintf(stderr, "harness: cannot read %s, open %s or write %s\n", argv[1], argv[2], argv[3]);
        return 1;
    }
    wires_start();
    turn();
    line_close();
    return crashed ? 3 : 0;
}
