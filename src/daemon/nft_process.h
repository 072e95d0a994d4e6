/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that speaks with nftables for the daemon, as the daemon's user with CAP_NET_ADMIN
 * alone. libnftables can't be had in a process with thousands of sockets (kernel/nft_run.h), and
 * what goes wrong in it is one command's failure here.
 *
 * To be started before threads and to be used by one. A command takes 30 s at most.
 */
#ifndef ACKGATE_DAEMON_NFT_PROCESS_H
#define ACKGATE_DAEMON_NFT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

struct nft_process;

/* From here on nft_run is done there. NULL with a sentence in `why`. */
struct nft_process *nft_process_start(const char *user, char *why, size_t why_size);
bool nft_process_is_gone(const struct nft_process *p);
/* nft_run is done here again. NULL is fine. */
void nft_process_stop(struct nft_process *p);

#endif
