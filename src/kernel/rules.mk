# SPDX-License-Identifier: GPL-2.0-or-later
src_kernel_libackkernel_a_SOURCES += \
	src/kernel/ruleset.c src/kernel/ruleset.h \
	src/kernel/ruleset_way.h \
	src/kernel/ruleset_nft.c \
	src/kernel/ruleset_iptables.c \
	src/kernel/iptables_text.c src/kernel/iptables_text.h \
	src/kernel/iptables_render.c \
	src/kernel/chains.c src/kernel/chains.h \
	src/kernel/judgement.c src/kernel/judgement.h \
	src/kernel/judgement_cookies.c src/kernel/judgement_cookies.h \
	src/kernel/steps.c src/kernel/steps.h \
	src/kernel/nft_render.c src/kernel/nft_render.h \
	src/kernel/nft_run.c src/kernel/nft_run.h \
	src/kernel/hold.c src/kernel/hold.h \
	src/kernel/lasting.c src/kernel/lasting.h \
	src/kernel/lasting_blocks.c src/kernel/lasting_blocks.h \
	src/kernel/lasting_render.c src/kernel/lasting_render.h \
	src/kernel/tproxy.c src/kernel/tproxy.h \
	src/kernel/tproxy_render.c src/kernel/tproxy_render.h \
	src/kernel/tproxy_routing.c src/kernel/tproxy_routing.h \
	src/kernel/unqueued.c src/kernel/unqueued.h \
	src/kernel/ranges.c src/kernel/ranges.h \
	src/kernel/words.c src/kernel/words.h \
	src/kernel/survey.c
