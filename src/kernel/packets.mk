src_kernel_libackkernel_a_SOURCES += src/kernel/queue.h src/kernel/inject.h src/kernel/conntrack.h
