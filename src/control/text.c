/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/text.h"

#include <stdlib.h>
#include <string.h>

json_t *text_json(const char *text)
{
	if (text == NULL)
		return json_null();
	json_t *string = json_string(text);
	if (string != NULL)
		return string;

	char *ascii = strdup(text);
	if (ascii == NULL)
		return NULL;
	for (char *c = ascii; *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	string = json_string(ascii);
	free(ascii);
	return string;
}
