src_kernel_libackkernel_a_SOURCES += src/kernel/ruleset.h
