/* Readers by the thousand, and an editor. Knows WebSocket, HTTP and a clock; knows no server.
 *
 * One thread, one epoll. Commands come on standard input, one a line, each answered by one line of JSON:
 *
 *   connect count=5000 rate=1000 window=64 [port=N] [path=/…] [group=0] [deaf=1] [segment=1448]
 *       Open readers, at most `rate` a second and `window` at a time. Deaf ones never read again once they
 *       are in, and their window is small; `segment` is the MSS they announce (loopback's is 64 kB, with
 *       which a kernel buffers megabytes for a deaf reader).
 *   lines count=40 rate=5 [publishers=1] [join=500] [patience=10] [spin=1]
 *       Publish `count` lines, `rate` a second (0: as fast as they are taken), and follow each to each
 *       reader. `join`: so many further readers a second come for count/rate seconds, checked but not timed.
 *       `spin=0`: sleep while a line is on its way, where this program shares its core with a server.
 *   close [keep=4000] [joined=1] [deaf=10]
 *       Close readers until `keep` are left; `joined` closes those that came during `lines`; `deaf` only so many
 *       of the deaf, the oldest first.
 *   wait seconds=3
 *       Read what comes, and report what was dropped.
 *
 * What is checked, for every reader: frames are well formed (RFC 6455), messages are text, each line comes
 * once, and in the same order as at every other reader. A line is known by `seq=000123` in its message.
 * Time is CLOCK_MONOTONIC, from just before a publish is written to just after the read that completes
 * the line's frame. `spread` is a line's last reader less its first. `waited` is how long lines were on their
 * way, `idle` how much of that there was nothing to read: where it is little, this program is what was measured.
 * `silence` is the longest time in which some reader got no frame at all.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LINES_MAX = 100000,       /* lines published in one life of this program: hours at one a second */
    GROUPS_MAX = 4,           /* readers of several nodes, told apart */
    PUBLISHERS_MAX = 256,
    EVENTS = 256,             /* events between two looks at what is to be published: below a millisecond */
    CHUNK = 1 << 18,          /* bytes a read: a burst's backlog of one reader fits */
    MESSAGE_MAX = 1 << 20,    /* bytes; beyond it the stream is taken for garbage */
    SOURCES = 16,             /* addresses 127.0.0.2… to come from: 28,000 ports each */
    DEAF_RECEIVE_BUFFER = 2048,
};

static const char MARK[] = "seq=";
static const char BROWSER[] = /* what Chromium sends */
    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nPragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
    "Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://www.example.org\r\nSec-WebSocket-Version: 13\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,ar;q=0.8\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
static const char ACCEPTED[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; /* the answer to that key, RFC 6455, 1.3 */

enum kind { READER = 1, PUBLISHER, COMMANDS };
enum state { CONNECTING, SHAKING, OPEN, GONE };

struct conn {
    enum kind kind;
    enum state state;
    int fd, index, group, port;
    bool joined, deaf, busy, placed, greeted;
    uint32_t at;      /* readers: the place, in the order of lines, that is expected next */
    uint64_t heard;   /* when the last message came, or the handshake ended */
    char *part;       /* an incomplete frame or head */
    size_t part_size, part_room;
    char *message;    /* a fragmented message so far */
    size_t message_size;
    bool fragmented;
};

static int epoll, port_default;
static char path_default[512];
static char *request;  /* what publishes a line, its mark to be filled in */
static size_t request_size, request_mark;
static int publish_port;
static char buffer[CHUNK + MESSAGE_MAX];

static struct conn **readers;
static size_t readers_size, readers_room;
static struct conn publishers[PUBLISHERS_MAX];
static struct conn commands = {.kind = COMMANDS};
static unsigned opened_total;
static uint32_t window_used, handshakes_done; /* of the readers being opened */

/* Per line, over the whole life */
static uint64_t published_at[LINES_MAX];
static uint32_t place_of[LINES_MAX]; /* place in the order + 1; 0: not seen yet */
static uint32_t order[LINES_MAX];
static uint32_t placed;              /* how many lines have their place */
static uint32_t next_seq;

/* Of one `lines` run */
static struct {
    bool on;
    uint32_t first, count, joined_readers;
    uint64_t deliveries, expected, bytes, last_delivery, waited, idle;
    float *latencies[GROUPS_MAX]; /* [line][n] in ms */
    uint32_t *seen[GROUPS_MAX];   /* [line] how many so far */
    uint32_t readers[GROUPS_MAX];
} run;

static struct {
    uint64_t missing, duplicated, disordered, malformed, dropped, refused, boards, beats, pings, publish_failed;
} faults;
static uint64_t silence; /* ns; the longest since it was told last */

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void die(const char *format, ...) {
    va_list list;
    va_start(list, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(2);
}

static void *sure(void *memory) {
    if (!memory) die("out of memory");
    return memory;
}

static void watch(struct conn *c, uint32_t events, int op) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, op, c->fd, &e)) die("epoll_ctl: %s", strerror(errno));
}

/* Connections */

static void let_go(struct conn *c) {
    if (c->state == GONE) return;
    struct linger at_once = {1, 0}; /* or the ports wait for minutes */
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(c->fd);
    c->state = GONE;
    free(c->part);
    free(c->message);
    c->part = c->message = NULL;
    c->part_size = c->part_room = c->message_size = 0;
}

static bool dial(struct conn *c, int segment) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    int on = 1, small = DEAF_RECEIVE_BUFFER;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (c->deaf) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (segment) setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000002 + opened_total++ % SOURCES);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) die("bind: %s", strerror(errno));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)c->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->state = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) return false;
    watch(c, EPOLLOUT, EPOLL_CTL_ADD);
    return true;
}

static void write_all(struct conn *c, const char *data, size_t size) {
    /* A request fits any send buffer; where it doesn't, the peer is in trouble and so are the figures. */
    ssize_t written = send(c->fd, data, size, MSG_NOSIGNAL);
    if (written != (ssize_t)size) {
        faults.publish_failed += c->kind == PUBLISHER;
        faults.dropped += c->kind == READER;
        if (c->state == SHAKING) window_used--;
        let_go(c);
    }
}

static const char *path_asked;

static struct conn *open_reader(int port, int group, bool deaf, bool joined, int segment) {
    if (readers_size == readers_room) {
        readers_room = readers_room ? readers_room * 2 : 1024;
        readers = sure(realloc(readers, readers_room * sizeof *readers));
    }
    struct conn *c = sure(calloc(1, sizeof *c));
    *c = (struct conn){.kind = READER, .group = group, .port = port, .deaf = deaf, .joined = joined};
    readers[readers_size++] = c;
    if (!dial(c, segment)) {
        faults.refused++;
        let_go(c);
    }
    return c;
}

/* Frames */

static void heard(struct conn *c, uint64_t time) {
    if (!c->joined && time - c->heard > silence) silence = time - c->heard;
    c->heard = time;
}

static void line_came(struct conn *c, uint32_t seq, uint64_t time) {
    if (seq >= next_seq) {
        faults.malformed++;
        return;
    }
    if (!place_of[seq]) {
        order[placed] = seq;
        place_of[seq] = ++placed;
    }
    uint32_t place = place_of[seq] - 1;
    if (!c->placed) { /* a newcomer: whatever comes first is where it begins */
        c->placed = true;
        c->at = place;
    }
    if (place == c->at) {
        c->at++;
    } else if (place > c->at) {
        faults.missing += place - c->at;
        c->at = place + 1;
    } else if (place + 1 == c->at) {
        faults.duplicated++;
        return;
    } else {
        faults.disordered++; /* late or twice; the lines that it skipped were counted as missing */
        return;
    }
    if (!run.on || c->joined || seq < run.first) return;
    uint32_t line = seq - run.first, n = run.seen[c->group][line]++;
    if (n < run.readers[c->group])
        run.latencies[c->group][(size_t)line * run.readers[c->group] + n] = (float)((time - published_at[seq]) / 1e6);
    run.deliveries++;
    run.last_delivery = time;
}

static void message_came(struct conn *c, const char *data, size_t size) {
    static const char line[] = "{\"type\":\"line\"", board[] = "{\"type\":\"board\"", beat[] = "{\"type\":\"beat\"";
    uint64_t time = now();
    heard(c, time);
    if (size >= sizeof board - 1 && !memcmp(data, board, sizeof board - 1)) {
        faults.boards += c->greeted; /* the first is the greeting */
        c->greeted = true;
        return;
    }
    if (size >= sizeof beat - 1 && !memcmp(data, beat, sizeof beat - 1)) {
        faults.beats++;
        return;
    }
    const char *mark = size >= sizeof line - 1 && !memcmp(data, line, sizeof line - 1) && data[size - 1] == '}'
                           ? memmem(data, size, MARK, sizeof MARK - 1)
                           : NULL;
    if (!mark || (size_t)(mark - data) + sizeof MARK - 1 + 6 > size) {
        faults.malformed++;
        return;
    }
    uint32_t seq = 0;
    for (const char *digit = mark + sizeof MARK - 1; digit < mark + sizeof MARK - 1 + 6; digit++) {
        if (*digit < '0' || *digit > '9') {
            faults.malformed++;
            return;
        }
        seq = seq * 10 + (uint32_t)(*digit - '0');
    }
    line_came(c, seq, time);
}

/* One frame at `data`; how many bytes it took, 0 if it isn't whole yet. */
static size_t take_frame(struct conn *c, const char *data, size_t size) {
    const uint8_t *b = (const uint8_t *)data;
    if (size < 2) return 0;
    bool final = b[0] & 0x80;
    int opcode = b[0] & 0x0f;
    uint64_t length = b[1] & 0x7f;
    size_t head = 2;
    bool wrong = (b[0] & 0x70) || (b[1] & 0x80); /* no extension was agreed; a server doesn't mask (5.1, 5.2) */
    if (length == 126) {
        if (size < 4) return 0;
        length = (uint64_t)b[2] << 8 | b[3];
        head = 4;
        wrong |= length < 126; /* the shortest form is a must */
    } else if (length == 127) {
        if (size < 10) return 0;
        length = 0;
        for (int i = 2; i < 10; i++) length = length << 8 | b[i];
        head = 10;
        wrong |= length < 65536;
    }
    if (wrong || length > MESSAGE_MAX || (opcode >= 8 && (!final || length > 125))) {
        faults.malformed++;
        let_go(c);
        return 0;
    }
    if (size < head + length) return 0;
    const char *payload = data + head;
    if (opcode == 1 && final && !c->fragmented) {
        message_came(c, payload, length);
    } else if ((opcode == 1 && !c->fragmented) || (opcode == 0 && c->fragmented)) {
        c->message = sure(realloc(c->message, c->message_size + length));
        memcpy(c->message + c->message_size, payload, length);
        c->message_size += length;
        c->fragmented = !final;
        if (final) {
            message_came(c, c->message, c->message_size);
            c->message_size = 0;
        }
    } else if (opcode == 9) { /* ping: a masked pong with the same payload; the mask may be zero */
        char pong[131] = {(char)0x8a, (char)(0x80 | length)};
        memcpy(pong + 6, payload, length);
        faults.pings++;
        write_all(c, pong, 6 + length);
    } else if (opcode == 8) {
        faults.dropped++;
        let_go(c);
        return 0;
    } else if (opcode != 10) {
        faults.malformed++;
        let_go(c);
        return 0;
    }
    return head + length;
}

static size_t take_handshake(struct conn *c, const char *data, size_t size) {
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    /* Nchan agrees to permessage-deflate and then doesn't use it, which is allowed; RSV1 would give it away. */
    if (memcmp(data, "HTTP/1.1 101 ", 13) || !memmem(data, (size_t)(end - data), ACCEPTED, sizeof ACCEPTED - 1)) {
        faults.refused++;
        window_used--;
        let_go(c);
        return 0;
    }
    c->state = OPEN;
    c->heard = now();
    window_used--;
    handshakes_done++;
    if (!c->joined) { /* it must get all that comes from now on */
        c->placed = true;
        c->at = placed;
    }
    if (c->deaf) epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
    return (size_t)(end + 4 - data);
}

/* One answer to a publish at `data`; how many bytes it took, 0 if it isn't whole yet. */
static size_t take_answer(struct conn *c, const char *data, size_t size) {
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end + 4 - data), length = 0;
    char text[4096];
    size_t shown = head < sizeof text ? head : sizeof text - 1;
    memcpy(text, data, shown);
    text[shown] = 0;
    char *field = strcasestr(text, "\r\ncontent-length:");
    if (field) length = strtoul(field + 17, NULL, 10);
    if (size < head + length) return 0;
    if (!c->busy) { /* told that it has idled for too long: the next publish dials again */
        let_go(c);
        return 0;
    }
    if (memcmp(data, "HTTP/1.1 2", 10)) {
        if (!faults.publish_failed++) fprintf(stderr, "load: a publish was answered with: %.300s\n", text);
    }
    c->busy = false;
    return head + length;
}

static void read_from(struct conn *c) {
    bool more = true;
    while (more && c->state != GONE) {
        size_t had = c->part_size;
        if (had) memcpy(buffer, c->part, had);
        ssize_t got = recv(c->fd, buffer + had, CHUNK, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) {
            if (c->kind == READER) {
                if (c->state == OPEN) faults.dropped++;
                else faults.refused++, window_used--;
            } else {
                faults.publish_failed += c->busy;
            }
            let_go(c);
            return;
        }
        more = got == CHUNK;
        if (run.on && c->kind == READER) run.bytes += (uint64_t)got;
        size_t size = had + (size_t)got, used = 0;
        while (used < size && c->state != GONE) {
            size_t took = c->kind == PUBLISHER  ? take_answer(c, buffer + used, size - used)
                          : c->state == SHAKING ? take_handshake(c, buffer + used, size - used)
                                                : take_frame(c, buffer + used, size - used);
            if (!took) break;
            used += took;
        }
        if (c->state == GONE) return;
        c->part_size = size - used;
        if (c->part_size > MESSAGE_MAX) die("a frame without end");
        if (c->part_size > c->part_room) {
            c->part_room = c->part_size + 512;
            c->part = sure(realloc(c->part, c->part_room));
        }
        memcpy(c->part, buffer + used, c->part_size);
    }
}

static void ready_to_write(struct conn *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        faults.refused += c->kind == READER;
        faults.publish_failed += c->kind == PUBLISHER;
        window_used -= c->kind == READER;
        let_go(c);
        return;
    }
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
    if (c->kind == PUBLISHER) {
        c->state = OPEN;
        return;
    }
    c->state = SHAKING;
    char head[2048];
    int length = snprintf(head, sizeof head, BROWSER, path_asked, c->port);
    write_all(c, head, (size_t)length);
}

static bool command_ready;

/* Take what has come; how much that was. */
static int turn(int timeout_ms) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c->kind == COMMANDS) command_ready = true;
        else if (c->state == GONE) continue;
        else if (c->state == CONNECTING) ready_to_write(c);
        else read_from(c);
    }
    return n;
}

/* Publishing */

static void open_publishers(int count) {
    for (int i = 0; i < count; i++) {
        struct conn *p = &publishers[i];
        if (p->kind == PUBLISHER && p->state == OPEN && !p->busy) continue;
        if (p->kind == PUBLISHER) let_go(p);
        *p = (struct conn){.kind = PUBLISHER, .port = publish_port};
        if (!dial(p, 0)) die("can't reach the publishing address");
    }
    uint64_t until = now() + 5000000000ull;
    for (int i = 0; i < count; i++)
        while (publishers[i].state == CONNECTING && now() < until) turn(10);
}

static bool publish_one(int count) {
    for (int i = 0; i < count; i++) {
        struct conn *p = &publishers[i];
        if (p->state != OPEN || p->busy) continue;
        if (next_seq == LINES_MAX) die("more than %d lines", LINES_MAX);
        char digits[7];
        snprintf(digits, sizeof digits, "%06u", next_seq);
        memcpy(request + request_mark, digits, 6);
        p->busy = true;
        published_at[next_seq++] = now();
        write_all(p, request, request_size);
        return true;
    }
    return false;
}

/* Commands */

static char command[1024];

static double option(const char *name, double otherwise) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, " %s=", name);
    char *at = strstr(command, wanted);
    return at ? strtod(at + strlen(wanted), NULL) : otherwise;
}

static bool text_option(const char *name, char *into, size_t room) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, " %s=", name);
    char *at = strstr(command, wanted);
    if (!at) return false;
    snprintf(into, room, "%.*s", (int)strcspn(at + strlen(wanted), " \n"), at + strlen(wanted));
    return true;
}

static size_t count_open(int group) {
    size_t n = 0;
    for (size_t i = 0; i < readers_size; i++)
        n += readers[i]->state == OPEN && !readers[i]->deaf && !readers[i]->joined &&
             (group < 0 || readers[i]->group == group);
    return n;
}

static void sweep(void) {
    size_t kept = 0;
    for (size_t i = 0; i < readers_size; i++) {
        if (readers[i]->state == GONE) free(readers[i]);
        else readers[kept++] = readers[i];
    }
    readers_size = kept;
}

static void print_faults(void) {
    uint64_t time = now();
    for (size_t i = 0; i < readers_size; i++) {
        struct conn *c = readers[i];
        if (c->state == OPEN && !c->deaf && !c->joined && time - c->heard > silence) silence = time - c->heard;
    }
    printf("\"missing\":%lu,\"duplicated\":%lu,\"disordered\":%lu,\"malformed\":%lu,\"dropped\":%lu,\"refused\":%lu,"
           "\"boards\":%lu,\"beats\":%lu,\"pings\":%lu,\"publish_failed\":%lu,\"silence\":%.3f}\n",
           faults.missing, faults.duplicated, faults.disordered, faults.malformed, faults.dropped, faults.refused,
           faults.boards, faults.beats, faults.pings, faults.publish_failed, (double)silence / 1e9);
    fflush(stdout);
    memset(&faults, 0, sizeof faults);
    silence = 0;
}

static void connect_readers(void) {
    uint32_t count = (uint32_t)option("count", 1), window = (uint32_t)option("window", 64);
    double rate = option("rate", 1000);
    int port = (int)option("port", port_default), group = (int)option("group", 0);
    bool deaf = option("deaf", 0) != 0;
    int segment = (int)option("segment", 0);
    if (group < 0 || group >= GROUPS_MAX) die("no such group: %d", group);
    static char path[512];
    path_asked = text_option("path", path, sizeof path) ? path : path_default;
    window_used = handshakes_done = 0;
    uint64_t start = now();
    for (uint32_t opened = 0; opened < count || window_used;) {
        uint64_t time = now();
        while (opened < count && window_used < window && opened <= (double)(time - start) / 1e9 * rate) {
            opened++;
            window_used++;
            if (open_reader(port, group, deaf, false, segment)->state == GONE) window_used--;
        }
        turn(1);
        if (now() - time > 20000000000ull) break;
        if ((double)(now() - start) / 1e9 > count / rate + 60) break; /* a peer that answers no more */
    }
    double seconds = (double)(now() - start) / 1e9;
    for (uint64_t until = now() + 100000000ull; now() < until;) turn(10); /* the greetings */
    printf("{\"connected\":%u,\"seconds\":%.3f,", handshakes_done, seconds);
    print_faults();
    sweep();
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float part_of(const float *sorted, size_t n, double part) {
    return n ? sorted[(size_t)((double)(n - 1) * part + 0.5)] : 0;
}

/* What the lines took: for first, median, p99, last and spread, the median over the lines; and over all deliveries. */
static void print_latency(int group) {
    uint32_t count = run.count, room = run.readers[group];
    enum { KINDS = 5 };
    float *kinds[KINDS];
    for (int k = 0; k < KINDS; k++) kinds[k] = sure(calloc(count, sizeof(float)));
    float *all = sure(calloc((size_t)count * room + 1, sizeof(float)));
    size_t total = 0, lines = 0;
    for (uint32_t line = 0; line < count; line++) {
        uint32_t n = run.seen[group][line] < room ? run.seen[group][line] : room;
        float *row = run.latencies[group] + (size_t)line * room;
        if (!n) continue;
        qsort(row, n, sizeof *row, by_size);
        memcpy(all + total, row, n * sizeof *row);
        total += n;
        kinds[0][lines] = row[0];
        kinds[1][lines] = part_of(row, n, 0.5);
        kinds[2][lines] = part_of(row, n, 0.99);
        kinds[3][lines] = row[n - 1];
        kinds[4][lines] = row[n - 1] - row[0];
        lines++;
    }
    qsort(all, total, sizeof *all, by_size);
    printf("{\"readers\":%u,\"deliveries\":%zu", room, total);
    static const char *names[KINDS] = {"first", "median", "p99", "last", "spread"};
    for (int k = 0; k < KINDS; k++) {
        qsort(kinds[k], lines, sizeof(float), by_size);
        printf(",\"%s\":%.3f", names[k], part_of(kinds[k], lines, 0.5));
        free(kinds[k]);
    }
    printf(",\"all_p99\":%.3f,\"all_max\":%.3f}", part_of(all, total, 0.99), part_of(all, total, 1));
    free(all);
}

static void publish_lines(void) {
    uint32_t count = (uint32_t)option("count", 1);
    double rate = option("rate", 5), join = option("join", 0), patience = option("patience", 10);
    int publishing = (int)option("publishers", 1);
    bool spin = option("spin", 1) != 0;
    if (publishing < 1 || publishing > PUBLISHERS_MAX) die("1 to %d publishers", PUBLISHERS_MAX);
    sweep();
    open_publishers(publishing);
    memset(&run, 0, sizeof run);
    run.first = next_seq;
    run.count = count;
    for (int g = 0; g < GROUPS_MAX; g++) {
        run.readers[g] = (uint32_t)count_open(g);
        run.expected += (uint64_t)run.readers[g] * count;
        run.latencies[g] = sure(calloc((size_t)count * run.readers[g] + 1, sizeof(float)));
        run.seen[g] = sure(calloc(count, sizeof(uint32_t)));
    }
    run.on = true;
    window_used = 0;
    uint64_t start = now();
    run.last_delivery = start;
    uint32_t sent = 0, joined = 0, late = 0;
    for (;;) {
        uint64_t time = now();
        double seconds = (double)(time - start) / 1e9;
        while (sent < count && (rate == 0 || sent <= seconds * rate)) {
            if (!publish_one(publishing)) {
                late++;
                break;
            }
            sent++;
        }
        while (join && sent < count && joined < seconds * join && joined < join * count / rate) {
            joined++;
            window_used++;
            if (open_reader(port_default, 0, false, true, 0)->state == GONE) window_used--;
        }
        if (sent == count && run.deliveries >= run.expected) break;
        uint64_t asked = published_at[next_seq - 1], since = run.last_delivery > asked ? run.last_delivery : asked;
        if (sent == count && time > since && (double)(time - since) / 1e9 > patience) break;
        if (time > since && (double)(time - since) / 1e9 > patience + 10) break; /* it takes no line any more */
        /* No sleep while a line is on its way: to wake us would be the server's cost, an interrupt each time, the
         * more the slower it sends. Readers are elsewhere in life; nobody's send() wakes them. */
        bool awaited = run.deliveries < (uint64_t)sent * (run.expected / count);
        uint64_t before = now();
        bool nothing = turn(spin && awaited ? 0 : 1) == 0;
        uint64_t took = now() - before;
        if (awaited) run.waited += took, run.idle += nothing ? took : 0;
    }
    uint64_t last = run.last_delivery;
    for (uint64_t until = now() + 100000000ull; now() < until;) turn(10); /* what comes twice comes now */
    for (size_t i = 0; i < readers_size; i++) { /* the line after which nothing came is missing too */
        struct conn *c = readers[i];
        if (c->state == OPEN && !c->deaf && c->placed && c->at < placed) {
            faults.missing += placed - c->at;
            c->at = placed;
        }
    }
    run.on = false;
    printf("{\"lines\":%u,\"sent\":%u,\"late\":%u,\"joined\":%u,\"expected\":%lu,\"deliveries\":%lu,\"bytes\":%lu,"
           "\"seconds\":%.6f,\"waited\":%.6f,\"idle\":%.6f,\"groups\":[",
           count, sent, late, joined, run.expected, run.deliveries, run.bytes,
           run.deliveries ? (double)(last - published_at[run.first]) / 1e9 : 0.0, (double)run.waited / 1e9,
           (double)run.idle / 1e9);
    for (int g = 0; g < GROUPS_MAX; g++) {
        if (g) printf(",");
        print_latency(g);
        free(run.latencies[g]);
        free(run.seen[g]);
    }
    printf("],");
    print_faults();
}

static void close_readers(void) {
    size_t keep = (size_t)option("keep", 1e9), kept = 0;
    bool joined = option("joined", 0) != 0;
    size_t deaf = (size_t)option("deaf", 0);
    for (size_t i = 0; i < readers_size; i++) {
        struct conn *c = readers[i];
        if (deaf) {
            if (c->deaf) let_go(c), deaf--;
            if (!deaf) break;
        } else if (c->joined ? joined : ++kept > keep) {
            let_go(c);
        }
    }
    sweep();
    printf("{\"readers\":%zu,", count_open(-1));
    print_faults();
}

int main(int argc, char **argv) {
    if (argc != 5) die("usage: load PORT PATH PUBLISH_PORT REQUEST_FILE");
    port_default = atoi(argv[1]);
    snprintf(path_default, sizeof path_default, "%s", argv[2]);
    path_asked = path_default;
    publish_port = atoi(argv[3]);
    FILE *file = fopen(argv[4], "rb");
    if (!file) die("%s: %s", argv[4], strerror(errno));
    request = sure(malloc(1 << 16));
    request_size = fread(request, 1, 1 << 16, file);
    fclose(file);
    char *mark = memmem(request, request_size, MARK, sizeof MARK - 1);
    if (!mark) die("the request holds no %s", MARK);
    request_mark = (size_t)(mark - request) + sizeof MARK - 1;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(0);
    commands.fd = STDIN_FILENO;
    watch(&commands, EPOLLIN, EPOLL_CTL_ADD);
    setvbuf(stdin, NULL, _IONBF, 0);
    for (;;) {
        turn(1000);
        if (!command_ready) continue;
        command_ready = false;
        if (!fgets(command, sizeof command, stdin)) return 0;
        command[strcspn(command, "\n")] = 0;
        if (!strncmp(command, "connect", 7)) connect_readers();
        else if (!strncmp(command, "lines", 5)) publish_lines();
        else if (!strncmp(command, "close", 5)) close_readers();
        else if (!strncmp(command, "wait", 4)) {
            uint64_t until = now() + (uint64_t)(option("seconds", 1) * 1e9);
            while (now() < until) turn(10);
            printf("{\"readers\":%zu,", count_open(-1));
            print_faults();
        } else die("no such command: %s", command);
    }
}
