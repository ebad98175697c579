/* exec_stream.c - bytes from one process to another by memory that both map: in order and complete
 * whatever the pieces, nobody sleeps for ever, and a side that lies about its place is found out.
 */
#include "test.h"

#include "base/futex.h"
#include "exec/stream.h"

#include <pthread.h>

static struct stream_memory memory;

struct ends {
    struct stream writer, reader;
};

static struct ends fresh(void) {
    memset(&memory, 0, sizeof(memory));
    return (struct ends){{.memory = &memory}, {.memory = &memory}};
}

TEST(what_is_put_is_taken_across_the_end_of_the_ring) {
    struct ends e = fresh();
    static char in[STREAM_BYTES], out[STREAM_BYTES];
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (char)(i * 7 + i / 251);
    for (size_t n = 1; n < STREAM_BYTES; n += 7919) {
        CHECK_EQ(stream_room(&e.writer), STREAM_BYTES);
        stream_put(&e.writer, in, n);
        CHECK_EQ(stream_room(&e.writer), STREAM_BYTES - n);
        CHECK_EQ(stream_ready(&e.reader), n);
        memset(out, 0, n);
        stream_take(&e.reader, out, n);
        CHECK(memcmp(in, out, n) == 0);
        CHECK_EQ(stream_ready(&e.reader), 0);
    }
}

TEST(who_says_that_it_sleeps_is_woken_once) {
    struct ends e = fresh();
    CHECK(!stream_wake_reader(&e.writer));
    CHECK(stream_reader_sleeps(&e.reader, 0));
    stream_put(&e.writer, "x", 1);
    CHECK(stream_wake_reader(&e.writer));
    CHECK(!stream_wake_reader(&e.writer));
    CHECK(!stream_reader_sleeps(&e.reader, 0)); /* there is something */
    CHECK(stream_reader_sleeps(&e.reader, 1));  /* which is not enough */
    stream_put(&e.writer, "y", 1);
    CHECK(stream_wake_reader(&e.writer));
}

TEST(a_writer_is_woken_when_half_of_the_ring_is_free) {
    struct ends e = fresh();
    static char bytes[STREAM_BYTES];
    stream_put(&e.writer, bytes, STREAM_BYTES);
    CHECK(stream_writer_sleeps(&e.writer, 0));
    stream_take(&e.reader, bytes, STREAM_BYTES / 2 - 1);
    CHECK(!stream_wake_writer(&e.reader));
    stream_take(&e.reader, bytes, 1);
    CHECK(stream_wake_writer(&e.reader));
    CHECK(!stream_writer_sleeps(&e.writer, 0));
}

TEST(a_place_that_cannot_be_is_found_out) {
    struct ends e = fresh();
    atomic_store(&memory.put, STREAM_BYTES + 1);
    CHECK_EQ(stream_ready(&e.reader), STREAM_BROKEN);
    atomic_store(&memory.put, UINT64_MAX); /* before where the reader is */
    CHECK_EQ(stream_ready(&e.reader), STREAM_BROKEN);
    e = fresh();
    stream_put(&e.writer, "abc", 3);
    atomic_store(&memory.taken, 4); /* more than was put */
    CHECK_EQ(stream_room(&e.writer), STREAM_BROKEN);
}

/* --- two threads that sleep whenever they can --- */

enum { TOTAL = 8 << 20 };

static uint64_t next(uint64_t *dice) {
    *dice ^= *dice << 13, *dice ^= *dice >> 7, *dice ^= *dice << 17;
    return *dice;
}

static void *write_all(void *arg) {
    struct stream *s = arg;
    uint64_t dice = 88172645463325252u;
    unsigned char piece[5000];
    for (size_t at = 0; at < TOTAL;) {
        size_t room = stream_room(s), n = next(&dice) % sizeof(piece) + 1;
        n = n < room ? n : room;
        n = n < TOTAL - at ? n : TOTAL - at;
        for (size_t i = 0; i < n; i++, at++)
            piece[i] = (unsigned char)(at * 31 + at / 4099);
        stream_put(s, piece, n);
        if (stream_wake_reader(s))
            futex_wake_shared(&memory.reader_sleeps, 1);
        if (!n && stream_writer_sleeps(s, 0))
            futex_wait_shared(&memory.writer_sleeps, 1, INT64_MAX);
    }
    return NULL;
}

TEST(nothing_is_lost_and_nobody_sleeps_for_ever) {
    struct ends e = fresh();
    pthread_t writer;
    uint64_t dice = 42;
    unsigned char piece[7000];
    CHECK_EQ(pthread_create(&writer, NULL, write_all, &e.writer), 0);
    for (size_t at = 0; at < TOTAL;) {
        size_t ready = stream_ready(&e.reader), n = next(&dice) % sizeof(piece) + 1;
        n = n < ready ? n : ready;
        stream_take(&e.reader, piece, n);
        for (size_t i = 0; i < n; i++, at++)
            if (piece[i] != (unsigned char)(at * 31 + at / 4099))
                test_fail(__FILE__, __LINE__, "byte %zu is wrong", at);
        if (stream_wake_writer(&e.reader))
            futex_wake_shared(&memory.writer_sleeps, 1);
        if (!n && stream_reader_sleeps(&e.reader, 0))
            futex_wait_shared(&memory.reader_sleeps, 1, INT64_MAX);
    }
    CHECK_EQ(pthread_join(writer, NULL), 0);
}
