/* SPDX-License-Identifier: MIT */
/* Protocols on top of TCP in the kernel. What counts is the stream of TCP. */
#include "traffic.h"

#include <linux/mptcp.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <string.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif

/* ---- kTLS: its records ---- */

#define RECORD_PAYLOAD  10000
#define RECORD_OVERHEAD (5 + 8 + 16) /* header, nonce and tag of AES-GCM in TLS 1.2 */

/** Both directions with the same keys, which is good for a test only. */
static void begin_tls(int fd)
{
    struct tls12_crypto_info_aes_gcm_128 keys = {
        .info = {.version = TLS_1_2_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128},
    };

    if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) < 0)
        unavailable("the kernel has no kTLS");
    MUST(setsockopt(fd, SOL_TLS, TLS_TX, &keys, sizeof(keys)));
    MUST(setsockopt(fd, SOL_TLS, TLS_RX, &keys, sizeof(keys)));
}

/** Each call makes a record. */
static void send_records(int fd, uint64_t octets)
{
    static const char payload[RECORD_PAYLOAD];

    for (uint64_t n; octets > 0; octets -= n) {
        n = octets < RECORD_PAYLOAD ? octets : RECORD_PAYLOAD;
        EXPECT(send(fd, payload, n, 0) == (ssize_t) n);
    }
}

static uint64_t record_overhead(uint64_t octets)
{
    return (octets + RECORD_PAYLOAD - 1) / RECORD_PAYLOAD * RECORD_OVERHEAD;
}

static void transfer_records(struct run *run, enum end from, uint64_t octets)
{
    transfer_by(run, from, octets, send_records, receive_plain);
    count_sent(run, from, record_overhead(octets));
    count_received(run, other(from), record_overhead(octets));
}

static void ktls(struct run *run)
{
    open_pair(run);
    begin_tls(run->fd[CLIENT]);
    begin_tls(run->fd[SERVER]);
    transfer_records(run, run->actor, SOME);
    transfer_records(run, run->peer, MORE);
    finish(run);
}

/* ---- MPTCP: its subflows, here one. What it sends again at its own level, TCP sends anew. */

struct subflow {
    struct mptcp_subflow_data header;
    struct tcp_info info;
};

static struct tcp_info subflow_info(int fd)
{
    struct subflow subflow = {
        .header =
            {
                .size_subflow_data = sizeof(subflow.header),
                .size_user = sizeof(subflow.info),
            },
    };
    socklen_t length = sizeof(subflow);

    if (getsockopt(fd, SOL_MPTCP, MPTCP_TCPINFO, &subflow, &length) < 0)
        unavailable("this kernel does not tell about the subflows of MPTCP");
    EXPECT(subflow.header.num_subflows == 1);
    return subflow.info;
}

/** Whether all that MPTCP sent has arrived, on both levels. */
static bool nothing_on_its_way(int fd)
{
    struct tcp_info info = subflow_info(fd);
    struct mptcp_info level = {};
    socklen_t length = sizeof(level);

    MUST(getsockopt(fd, SOL_MPTCP, MPTCP_INFO, &level, &length));
    return level.mptcpi_snd_una == level.mptcpi_write_seq && info.tcpi_unacked == 0 &&
           info.tcpi_notsent_bytes == 0;
}

static void mptcp(struct run *run)
{
    run->protocol = IPPROTO_MPTCP;
    open_and_exchange(run);
    WAIT_FOR(nothing_on_its_way(run->fd[CLIENT]) && nothing_on_its_way(run->fd[SERVER]));
    for (enum end end = 0; end < _END_MAX; end++) {
        uint64_t arrived = subflow_info(run->fd[end]).tcpi_bytes_received;

        EXPECT(arrived >= run->truth[end].rx);
        run->truth[end].rx = run->truth[other(end)].tx = arrived;
    }
    finish(run);
}

static const struct traffic_case cases[] = {
    {"ktls", "kTLS: its records count", ktls, NULL, EITHER_END},
    {"mptcp", "MPTCP: its subflows count", mptcp, NULL, EITHER_END},
};

const struct case_table protocol_cases = {cases, ELEMENTSOF(cases)};
