#define _GNU_SOURCE
#include "chip.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "avr_eeprom.h"
#include "avr_uart.h"
#include "sim_elf.h"
#include "wires.h"

#define BEAT_CYCLES (HZ / 10000) /* how finely the surroundings move: 0.1 ms */
#define EEPROM_BYTES 1024
#define EEPROM_WRITE_CYCLES (HZ * 34 / 10000)
#define RAM_AT 0x100
#define R2_AT 2
#define MCUSR_AT 0x54
#define HANG_AT 0x7ff0 /* flash that no program reaches */

avr_t *avr;
uint8_t *eeprom;
bool plugged;
bool crashed;
enum boot_loader boot_loader;
unsigned resets;
unsigned eeprom_writes;

static void (*reset_of_core)(avr_t *);
static unsigned resets_seen;
static uint8_t eeprom_seen[EEPROM_BYTES];
static uint64_t eeprom_written_at;
static unsigned eeprom_last;

static void was_reset(avr_t *chip)
{
    if (reset_of_core) {
        reset_of_core(chip);
    }
    resets++;
    outputs_changed(0);
}

static void no_sleep(avr_t *chip, avr_cycle_count_t cycles)
{
    (void)chip, (void)cycles; /* the cycles are counted; whether they take time is decided elsewhere */
}

static avr_cycle_count_t beat(avr_t *chip, avr_cycle_count_t when, void *param)
{
    (void)chip, (void)param;
    wires_turn();
    if (memcmp(eeprom, eeprom_seen, EEPROM_BYTES)) {
        for (unsigned at = 0; at < EEPROM_BYTES; at++) {
            if (eeprom[at] != eeprom_seen[at]) {
                eeprom_last = at;
                eeprom_writes++;
            }
        }
        memcpy(eeprom_seen, eeprom, EEPROM_BYTES);
        eeprom_written_at = avr->cycle;
    }
    return when + BEAT_CYCLES;
}

/* What the program finds in MCUSR and r2 after a reset that left `flags`. */
static void set_flags(uint8_t flags)
{
    avr->data[MCUSR_AT] = boot_loader == NONE ? flags : 0;
    avr->data[R2_AT] = boot_loader == PASSES_ON ? flags : (uint8_t)0xa7;
}

void chip_run(uint64_t cycle, bool to_frame_end)
{
    frame_ended = false;
    while (avr->cycle < cycle && !(to_frame_end && frame_ended)) {
        int state = avr_run(avr);
        if (resets != resets_seen) {
            resets_seen = resets;
            set_flags(avr->data[MCUSR_AT]);
        }
        if (!avr_cycle_timer_status(avr, beat, NULL)) {
            avr_cycle_timer_register(avr, BEAT_CYCLES, beat, NULL);
        }
        if (state == cpu_Crashed || state == cpu_Done) {
            crashed = true;
            note("\"what\": \"crashed\"");
            return;
        }
    }
}

void chip_reset(uint8_t flags)
{
    avr_reset(avr);
    resets_seen = resets;
    set_flags(flags);
    line_forget();
}

void chip_plug(uint8_t flags)
{
    if (plugged) {
        return;
    }
    for (unsigned at = RAM_AT; at <= avr->ramend; at++) {
        avr->data[at] = (uint8_t)rand();
    }
    line_open();
    plugged = true;
    note("\"what\": \"plug\"");
    chip_reset(flags);
}

/* A byte that was being written when the power went may be left erased. */
void chip_unplug(bool torn)
{
    if (!plugged) {
        return;
    }
    plugged = false;
    line_close();
    if (torn && eeprom_written_at && avr->cycle - eeprom_written_at < EEPROM_WRITE_CYCLES) {
        eeprom[eeprom_last] = eeprom_seen[eeprom_last] = 0xff;
    }
    outputs_changed(0);
    note("\"what\": \"unplug\"");
}

void chip_hang(bool interrupts)
{
    avr->flash[HANG_AT] = 0xff; /* rjmp to itself */
    avr->flash[HANG_AT + 1] = 0xcf;
    avr->pc = HANG_AT;
    avr->state = cpu_Running;
    avr->sreg[S_I] = interrupts;
}

bool chip_make(const char *program, const char *eeprom_file)
{
    elf_firmware_t read = {0};
    int file = open(eeprom_file, O_RDWR | O_CLOEXEC);
    if (file < 0 || elf_read_firmware(program, &read)) {
        return false;
    }
    eeprom = mmap(NULL, EEPROM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (eeprom == MAP_FAILED) {
        return false;
    }
    memcpy(eeprom_seen, eeprom, EEPROM_BYTES);
    avr = avr_make_mcu_by_name("atmega328p");
    avr_init(avr);
    read.frequency = HZ;
    avr_load_firmware(avr, &read);
    avr->log = LOG_ERROR;
    avr->vcc = avr->avcc = avr->aref = 5000;
    avr->sleep = no_sleep;
    reset_of_core = avr->reset;
    avr->reset = was_reset;
    for (avr_io_t *each = avr->io_port; each; each = each->next) {
        if (!strcmp(each->kind, "eeprom")) {
            ((avr_eeprom_t *)each)->eeprom = eeprom; /* every byte it writes is in the file at once */
        }
    }
    uint32_t quiet = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &quiet);
    return true;
}
