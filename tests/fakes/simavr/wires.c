#define _GNU_SOURCE
#include "wires.h"

#include <fcntl.h>
#include <pty.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "avr_adc.h"
#include "avr_ioport.h"
#include "avr_uart.h"
#include "chip.h"

#define BYTE_CYCLES (HZ * 10 / 115200)
#define OUTPUTS (SIREN | STROBE | FAULT_LED)

struct input input[INPUTS];
int noise_mv = 10;
unsigned edges;
unsigned loss_permille;
FILE *journal;
const char *link_path;
int master = -1;
bool opened;
uint8_t outputs;
char changes[8192];
uint8_t sent[8192];
unsigned sent_n;
bool frame_ended;
unsigned lost_bytes;

static avr_irq_t *to_uart;
static avr_irq_t *to_adc;
static uint8_t line_in[65536];
static unsigned in_put, in_taken;
static uint64_t next_in;

long long clock_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

unsigned long long chip_us(void)
{
    return avr->cycle / CYCLES_PER_US;
}

void note(const char *format, ...)
{
    va_list more;
    fputs("{", journal);
    va_start(more, format);
    vfprintf(journal, format, more);
    va_end(more);
    fprintf(journal, ", \"wall_ns\": %lld, \"mono_ns\": %lld, \"chip_us\": %llu, \"board_uid\": \"",
            clock_ns(CLOCK_REALTIME), clock_ns(CLOCK_MONOTONIC), chip_us());
    for (int at = 0; at < 8; at++) {
        fprintf(journal, "%02x", eeprom[at]);
    }
    fputs("\"}\n", journal);
    fflush(journal);
}

/* -- outputs -- */

void outputs_changed(uint8_t port)
{
    uint8_t now = port & OUTPUTS;
    if (now == outputs) {
        return;
    }
    outputs = now;
    size_t used = strlen(changes);
    if (used > sizeof changes - 64) {
        used = 0; /* nobody asks: the oldest are in the log */
    }
    snprintf(changes + used, sizeof changes - used, "%s[%llu, %d]", used ? ", " : "", chip_us(), now);
    note("\"what\": \"outputs\", \"siren\": %d, \"strobe\": %d, \"fault_led\": %d", !!(now & SIREN), !!(now & STROBE),
         !!(now & FAULT_LED));
}

static void port_written(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq, (void)param;
    outputs_changed((uint8_t)value);
}

/* -- inputs -- */

static void adc_asked(avr_irq_t *irq, uint32_t value, void *param)
{
    union {
        avr_adc_mux_t mux;
        uint32_t v;
    } asked = {.v = value};
    (void)irq, (void)param;
    if (asked.mux.kind != ADC_MUX_SINGLE || asked.mux.src >= INPUTS) {
        return;
    }
    struct input *each = &input[asked.mux.src];
    long mv = avr->cycle < each->bounces_until ? rand() % 5001 : each->mv + rand() % (2 * noise_mv + 1) - noise_mv;
    mv = (mv < 0 ? 0 : mv > 5000 ? 5000 : mv) * (long)avr->avcc / 5000;
    avr_raise_irq(to_adc + ADC_IRQ_ADC0 + asked.mux.src, (uint32_t)mv);
}

void input_move(int number, int mv, int bounce_us)
{
    input[number].mv = mv;
    input[number].bounces_until = avr->cycle + (uint64_t)bounce_us * CYCLES_PER_US;
}

void input_chatter(int number, int mv, unsigned edges_per_s)
{
    struct input *each = &input[number];
    if (!each->edge_cycles) {
        each->home_mv = each->mv;
    }
    each->mv = each->home_mv;
    each->edge_cycles = edges_per_s ? (unsigned)(HZ / edges_per_s) : 0;
    each->edge_at = avr->cycle;
    each->other_mv = mv;
}

static void inputs_due(void)
{
    for (int number = 0; number < INPUTS; number++) {
        struct input *each = &input[number];
        while (each->edge_cycles && avr->cycle >= each->edge_at) {
            const int mv = each->mv;
            each->mv = each->other_mv;
            each->other_mv = mv;
            edges++;
            each->edge_at += each->edge_cycles / 2 + (unsigned)rand() % each->edge_cycles;
        }
        if (each->release_at && avr->cycle >= each->release_at) {
            each->release_at = 0;
            note("\"what\": \"release\", \"input\": %d, \"state\": \"normal\"", number);
            input_move(number, each->release_mv, each->release_bounce_us);
        }
    }
}

/* -- line -- */

static bool is_lost(void)
{
    return loss_permille && (unsigned)rand() % 1000 < loss_permille;
}

static void uart_sent(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq, (void)param;
    if (is_lost()) {
        lost_bytes++;
    } else if (sent_n < sizeof sent) {
        sent[sent_n++] = (uint8_t)value;
    } else {
        lost_bytes++;
    }
    frame_ended |= value == 0;
}

static void line_turn(void)
{
    while (in_taken != in_put && avr->cycle >= next_in) {
        avr_raise_irq(to_uart, line_in[in_taken++ % sizeof line_in]);
        next_in = (avr->cycle - next_in > HZ / 1000 ? avr->cycle : next_in) + BYTE_CYCLES;
    }
    if (!link_path || !sent_n) {
        return;
    }
    ssize_t took = opened ? write(master, sent, sent_n) : -1;
    lost_bytes += sent_n - (took > 0 ? (unsigned)took : 0);
    sent_n = 0;
}

void line_hear(const uint8_t *bytes, ssize_t n)
{
    for (ssize_t at = 0; at < n && in_put - in_taken < sizeof line_in; at++) {
        if (is_lost()) {
            lost_bytes++;
        } else {
            line_in[in_put++ % sizeof line_in] = bytes[at];
        }
    }
}

void line_open(void)
{
    int slave;
    struct termios raw;
    char name[128], fresh[4096];
    if (!link_path || openpty(&master, &slave, name, NULL, NULL)) {
        return;
    }
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    close(slave);
    fcntl(master, F_SETFL, O_NONBLOCK);
    snprintf(fresh, sizeof fresh, "%s.new", link_path);
    unlink(fresh);
    if (symlink(name, fresh) || rename(fresh, link_path)) {
        perror(link_path);
        exit(1);
    }
    opened = false;
}

void line_close(void)
{
    if (master >= 0) {
        unlink(link_path);
        close(master);
        master = -1;
    }
}

void line_forget(void)
{
    in_taken = in_put;
}

void wires_turn(void)
{
    inputs_due();
    line_turn();
}

void wires_start(void)
{
    to_uart = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    to_adc = avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, 0);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), uart_sent, NULL);
    avr_irq_register_notify(to_adc + ADC_IRQ_OUT_TRIGGER, adc_asked, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), IOPORT_IRQ_REG_PORT), port_written, NULL);
    for (int number = 0; number < INPUTS; number++) {
        input[number].mv = 2500;
    }
}
