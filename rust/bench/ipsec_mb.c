/* The same measurement for libipsec-mb, which has no Rust crate that is kept well.
 * cc -O2 ipsec_mb.c -o ipsec_mb -lIPSec_MB && ./ipsec_mb          (Debian: libipsec-mb-dev)
 */
#include <intel-ipsec-mb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 41, PACKETS = 4000 };
static const int SIZES[] = {64, 512, 1400};
static uint8_t key[32], aad[12], tag[16], data[1400];
static struct gcm_key_data expanded;
static struct gcm_context_data context;
static uint64_t next = 1;

static void seal_gcm(IMB_MGR *manager, const uint8_t *nonce, int octets) {
    IMB_AES256_GCM_ENC(manager, &expanded, &context, data, data, octets, nonce, aad, sizeof aad,
                       tag, sizeof tag);
}

static void seal_chacha(IMB_MGR *manager, const uint8_t *nonce, int octets) {
    IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
    memset(job, 0, sizeof *job);
    job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_CIPHER_HASH;
    job->enc_keys = job->dec_keys = key;
    job->key_len_in_bytes = 32;
    job->iv = nonce;
    job->iv_len_in_bytes = 12;
    job->src = job->dst = data;
    job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = octets;
    job->u.CHACHA20_POLY1305.aad = aad;
    job->u.CHACHA20_POLY1305.aad_len_in_bytes = sizeof aad;
    job->auth_tag_output = tag;
    job->auth_tag_output_len_in_bytes = sizeof tag;
    job = IMB_SUBMIT_JOB(manager);
    if (job == NULL) job = IMB_FLUSH_JOB(manager);
    if (job == NULL || job->status != IMB_STATUS_COMPLETED) abort();
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void row(const char *name, IMB_MGR *manager,
                void (*seal)(IMB_MGR *, const uint8_t *, int)) {
    printf("| libipsec-mb %s, %s |", imb_get_version_str(), name);
    for (int column = 0; column < 3; column++) {
        double times[ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            struct timespec a, b;
            clock_gettime(CLOCK_MONOTONIC, &a);
            for (int packet = 0; packet < PACKETS; packet++) {
                uint8_t nonce[12] = {0};
                memcpy(nonce + 4, &next, 8);
                next++;
                seal(manager, nonce, SIZES[column]);
            }
            clock_gettime(CLOCK_MONOTONIC, &b);
            times[round] = ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / PACKETS;
        }
        qsort(times, ROUNDS, sizeof *times, ascending);
        printf(" %.0f |", times[ROUNDS / 2]);
    }
    printf("\n");
}

int main(void) {
    IMB_MGR *manager = alloc_mb_mgr(0);
    IMB_ARCH arch;
    init_mb_mgr_auto(manager, &arch);
    memset(key, 9, sizeof key);
    memset(aad, 7, sizeof aad);
    IMB_AES256_GCM_PRE(manager, key, &expanded);
    row("AES-256-GCM", manager, seal_gcm);
    row("ChaCha20-Poly1305", manager, seal_chacha);
    free_mb_mgr(manager);
    return 0;
}
