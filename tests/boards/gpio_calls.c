/* The calls of the kernel's gpio character device (v2), answered in the process that makes them: the C library of
 * libgpiod and its Python binding run as they are, on lines that the test moves. For LD_PRELOAD.
 *
 * A request is one end of a pipe, so that reading and polling it are the kernel's own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINES = 8, FDS = 1024, MAGIC = 0xB4 };

static struct gpio_v2_line_request asked[LINES];
static int level[LINES], held[LINES], edges[LINES], far_end[LINES], line_of[FDS], gone;

void gpio_begin(void) {
    memset(far_end, -1, sizeof far_end);
    memset(line_of, -1, sizeof line_of);
}

void gpio_hold(int line, int by_another) { held[line] = by_another; }
int gpio_level(int line) { return level[line]; }
unsigned long long gpio_flags(int line) { return asked[line].config.flags; }
unsigned gpio_buffer(int line) { return asked[line].event_buffer_size; }

unsigned gpio_debounce_us(int line) {
    for (unsigned at = 0; at < asked[line].config.num_attrs; at++)
        if (asked[line].config.attrs[at].attr.id == GPIO_V2_LINE_ATTR_ID_DEBOUNCE)
            return asked[line].config.attrs[at].attr.debounce_period_us;
    return 0;
}

/* The line settles; `lost`: its edge is numbered and dropped, as from a full buffer. */
void gpio_edge(int line, int active, unsigned long long at_ns, int lost) {
    struct gpio_v2_line_event event = {.timestamp_ns = at_ns, .offset = line};
    level[line] = active;
    event.id = active ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE;
    event.seqno = event.line_seqno = ++edges[line];
    if (!lost && write(far_end[line], &event, sizeof event) != sizeof event)
        abort();
}

void gpio_unplug(int yes) {
    gone = yes;
    for (int line = 0; yes && line < LINES; line++)
        if (far_end[line] >= 0) {
            close(far_end[line]);
            far_end[line] = -1;
        }
}

/* libgpiod asks sysfs whether a character device is a chip; here /dev/null's number is one. */
char *realpath(const char *path, char *resolved) {
    char *(*real)(const char *, char *) = (char *(*)(const char *, char *))dlsym(RTLD_NEXT, "realpath");
    if (strncmp(path, "/sys/dev/char/1:3/subsystem", 27) != 0)
        return real(path, resolved);
    return resolved ? strcpy(resolved, "/sys/bus/gpio") : strdup("/sys/bus/gpio");
}

static int refuse(int number) {
    errno = number;
    return -1;
}

static int request(struct gpio_v2_line_request *wanted) {
    int ends[2], line = wanted->offsets[0];
    if (held[line])
        return refuse(EBUSY);
    if (pipe(ends))
        return -1;
    far_end[line] = ends[1];
    line_of[ends[0]] = line;
    edges[line] = 0;
    wanted->fd = ends[0];
    asked[line] = *wanted;
    for (unsigned at = 0; at < wanted->config.num_attrs; at++)
        if (wanted->config.attrs[at].attr.id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES)
            level[line] = wanted->config.attrs[at].attr.values & 1;
    return 0;
}

static int answer(int fd, unsigned call, void *data) {
    if (gone)
        return refuse(ENODEV);
    switch (call) {
    case GPIO_GET_CHIPINFO_IOCTL:
        *(struct gpiochip_info *)data = (struct gpiochip_info){.name = "gpiochip0", .lines = LINES};
        return 0;
    case GPIO_V2_GET_LINEINFO_IOCTL: {
        struct gpio_v2_line_info *info = data;
        int line = info->offset;
        *info = (struct gpio_v2_line_info){.offset = line, .flags = held[line] ? GPIO_V2_LINE_FLAG_USED : 0};
        strcpy(info->consumer, held[line] ? "w1-gpio" : "");
        return 0;
    }
    case GPIO_V2_GET_LINE_IOCTL:
        return request(data);
    case GPIO_V2_LINE_GET_VALUES_IOCTL: {
        struct gpio_v2_line_values *values = data;
        values->bits = level[line_of[fd]] ? values->mask : 0;
        return 0;
    }
    case GPIO_V2_LINE_SET_VALUES_IOCTL:
        level[line_of[fd]] = ((struct gpio_v2_line_values *)data)->bits & 1;
        return 0;
    default:
        return refuse(ENOTTY);
    }
}

int ioctl(int fd, unsigned long call, ...) {
    int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    va_list rest;
    va_start(rest, call);
    void *data = va_arg(rest, void *);
    va_end(rest);
    return _IOC_TYPE(call) == MAGIC ? answer(fd, (unsigned)call, data) : real(fd, call, data);
}
