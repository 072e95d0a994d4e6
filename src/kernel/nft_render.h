/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Our chains as nftables text. */
#ifndef ACKGATE_KERNEL_NFT_RENDER_H
#define ACKGATE_KERNEL_NFT_RENDER_H

#include "kernel/chains.h"

struct nft_render {
	FILE *to;
	const struct chains *chains;
	size_t rules; /* written so far */
	bool failed;  /* out of memory */
};

/* One chain within its table's braces; `hook` is "forward priority 50", or NULL. */
void nft_render_chain(struct nft_render *w, const struct chain *chain, const char *hook);

#endif
