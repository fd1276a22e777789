/* The limit: one process that does nothing but send(). Knows WebSocket's opening and one loop; knows no lines.
 *
 * GET opens a WebSocket; POST sends its body to everyone, one send() a reader, and is answered when the loop
 * is through. A reader whose buffer is full is dropped. No channel, no board, no limit, nothing is kept.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS = 256, FILES = 1 << 20, REQUEST_MAX = 4096 };

struct conn {
    int fd, place; /* place among the readers, -1: not one */
    size_t size;
    char *request;
};

static struct conn *readers[FILES];
static int count;

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void sha1(const uint8_t *data, size_t size, uint8_t out[20]) { /* FIPS 180-4; at most 119 bytes */
    uint8_t block[128] = {0};
    memcpy(block, data, size);
    block[size] = 0x80;
    size_t total = size < 56 ? 64 : 128;
    block[total - 2] = (uint8_t)(size * 8 >> 8);
    block[total - 1] = (uint8_t)(size * 8);
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (size_t at = 0; at < total; at += 64) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 16; i++) {
            const uint8_t *p = block + at + 4 * i;
            w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        }
        for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
            uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
            uint32_t t = rotate(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = t;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const uint8_t in[20], char out[29]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t padded[21] = {0};
    memcpy(padded, in, 20);
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)padded[3 * i] << 16 | (uint32_t)padded[3 * i + 1] << 8 | padded[3 * i + 2];
        for (int k = 0; k < 4; k++) out[4 * i + k] = digits[three >> (18 - 6 * k) & 63];
    }
    out[27] = '=';
    out[28] = 0;
}

static void drop(struct conn *c) {
    if (c->place >= 0) {
        readers[c->place] = readers[--count];
        readers[c->place]->place = c->place;
    }
    close(c->fd);
    free(c->request);
    free(c);
}

static void send_to_all(const char *body, size_t size) {
    static char frame[REQUEST_MAX + 4];
    size_t head = 2;
    frame[0] = (char)0x81;
    if (size < 126) {
        frame[1] = (char)size;
    } else {
        frame[1] = 126;
        frame[2] = (char)(size >> 8);
        frame[3] = (char)size;
        head = 4;
    }
    memcpy(frame + head, body, size);
    for (int i = 0; i < count; i++)
        if (send(readers[i]->fd, frame, head + size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)(head + size))
            shutdown(readers[i]->fd, SHUT_RDWR); /* its end is an event, and drops it */
}

/* False once the connection is gone. */
static bool answer(struct conn *c) {
    char *end = memmem(c->request, c->size, "\r\n\r\n", 4);
    if (!end) return true;
    size_t head = (size_t)(end + 4 - c->request);
    char reply[256];
    if (!memcmp(c->request, "GET ", 4)) {
        *end = 0;
        char *key = strcasestr(c->request, "\r\nsec-websocket-key:");
        if (!key) return drop(c), false;
        key += 20;
        key += strspn(key, " ");
        char joined[64];
        snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
        uint8_t digest[20];
        char accept[29];
        sha1((uint8_t *)joined, strlen(joined), digest);
        base64(digest, accept);
        int size = snprintf(reply, sizeof reply,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
        send(c->fd, reply, (size_t)size, MSG_NOSIGNAL);
        free(c->request);
        c->request = NULL;
        c->size = 0;
        c->place = count;
        readers[count++] = c;
        return true;
    }
    char *field = strcasestr(c->request, "\r\ncontent-length:");
    size_t length = field && field < end ? strtoul(field + 17, NULL, 10) : 0;
    if (c->size < head + length) return true;
    send_to_all(c->request + head, length);
    static const char done[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    send(c->fd, done, sizeof done - 1, MSG_NOSIGNAL);
    c->size = 0;
    return true;
}

static void read_from(struct conn *c) {
    static char ignored[REQUEST_MAX];
    if (c->place >= 0) { /* readers have nothing to say */
        ssize_t got = recv(c->fd, ignored, sizeof ignored, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) drop(c);
        return;
    }
    if (!c->request) c->request = calloc(1, REQUEST_MAX + 1);
    ssize_t got = recv(c->fd, c->request + c->size, REQUEST_MAX - c->size, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return drop(c);
    c->size += (size_t)got;
    answer(c);
}

int main(int argc, char **argv) {
    if (argc != 2) return fputs("usage: bare PORT\n", stderr), 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, BACKLOG)) return perror("bare"), 1;
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                read_from(events[i].data.ptr);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                struct conn *c = calloc(1, sizeof *c);
                c->fd = fd;
                c->place = -1;
                event = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
