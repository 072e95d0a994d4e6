/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text for JSON, wherever it came from. */
#ifndef ACKGATE_CONTROL_TEXT_H
#define ACKGATE_CONTROL_TEXT_H

#include <jansson.h>

/*
 * A JSON string; null for NULL. In text that is no UTF-8 every byte beyond ASCII becomes '?'. NULL
 * without memory.
 */
json_t *text_json(const char *text);

#endif
