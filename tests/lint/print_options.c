/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints etc/ackgate.ini and docs/ackgate.ini.5 from the option rows. tests/lint/options compares,
 * and renews them on request. */
#include "config/ini.h"
#include "config/options.h"

#include <stdio.h>
#include <string.h>

enum {
	INI_COLUMNS = 96
};

static const char ini_head[] =
	"# The configuration of ackgated. Every option stands here with its default; "
	"ackgate.ini(5) has more on each.\n"
	"# Try a change with `ackgated -t`, then put it in force with `systemctl reload ackgate`.\n"
	"# Files in conf.d beside this one are read after it, in name order.\n";

static const char ini_examples[] =
	"# A server: SSH and the web are gated, and the web service has limits.\n"
	"#\n"
	"#[rule ssh]\n"
	"#port = 22\n"
	"#\n"
	"#[rule web]\n"
	"#port = 80, 443\n"
	"#syn_rate = 50/s burst 100\n"
	"#half_open = 10k\n"
	"\n"
	"# A gateway: connections from outside to the servers behind it are gated, all other ports "
	"are closed to them.\n"
	"#\n"
	"#[rule servers]\n"
	"#interface = eth0\n"
	"#to = 192.0.2.0/24, 2001:db8:1::/48\n"
	"#port = 25, 80, 443\n"
	"#\n"
	"#[rule closed]\n"
	"#interface = eth0\n"
	"#to = 192.0.2.0/24, 2001:db8:1::/48\n"
	"#mode = drop\n";

/* As a comment, broken between words. */
static void ini_comment(const char *text)
{
	size_t column = 1;

	fputc('#', stdout);
	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (column + 1 + len > INI_COLUMNS) {
			fputs("\n#", stdout);
			column = 1;
		}
		printf(" %.*s", (int)len, text);
		column += 1 + len;
		text += len + (text[len] == ' ');
	}
	fputc('\n', stdout);
}

static void ini_options(enum section section)
{
	for (size_t i = 0; i < option_row_count; i++) {
		const struct option *o = &option_rows[i];

		if (o->section != section || o->later)
			continue;
		fputc('\n', stdout);
		ini_comment(o->help);
		printf("#%s = %s\n", o->key, o->initial != NULL ? o->initial : o->example);
	}
}

static void print_ini(void)
{
	fputs(ini_head, stdout);
	for (enum section s = 0; s < SECTION_COUNT; s++) {
		const struct section_row *row = &section_rows[s];

		fputs("\n\n", stdout);
		ini_comment(row->help);
		printf(row->named ? "#[%s NAME]\n" : "[%s]\n", row->name);
		ini_options(s);
	}
	fputs("\n\n", stdout);
	fputs(ini_examples, stdout);
}

static const char man_head[] =
	".\\\" SPDX-License-Identifier: GPL-2.0-or-later\n"
	".TH ACKGATE.INI 5 \"\" ackgate\n"
	".SH NAME\n"
	"ackgate.ini \\- configuration of ackgated\n"
	".SH SYNOPSIS\n"
	".I /etc/ackgate/ackgate.ini\n"
	".br\n"
	".I /etc/ackgate/conf.d/*.ini\n"
	".SH DESCRIPTION\n"
	"The main file is read first, then those of\n"
	".I conf.d\n"
	"beside it in name order, as if they were one.\n"
	".BR \"ackgated \\-t\" \" tests them, \" \"ackgatectl config\" \" prints what is in "
	"force.\"\n"
	"On SIGHUP they are read again; a good configuration replaces the old one at once, a bad "
	"one changes nothing.\n"
	"All that is wrong is reported in one go, with file, line, and what would be right.\n"
	".PP\n"
	"A line is\n"
	".IR [SECTION] ,\n"
	".IR \"[rule NAME]\" ,\n"
	".I [backend NAME]\n"
	"or\n"
	".IR \"KEY = VALUE\" .\n"
	"White space around them does not matter. A comment starts with ; or # where a line starts "
	"or after white space.\n";

static const char man_format[] =
	"A value that ends with a comma goes on in the next line if that one is indented.\n"
	"The text is UTF\\-8. Unknown sections and keys, sections and keys that stand twice, and "
	"values out of range are errors.\n"
	"The name of a rule or backend has at most 31 letters, digits, \\- and _; a rule's "
	"counters "
	"go on over a reload for as long as it keeps its name.\n"
	".SH VALUES\n"
	".TP\n"
	"time\n"
	"A number with its unit: 500ms, 30s, 10m, 2h, 1d.\n"
	".TP\n"
	"number\n"
	"Where a number counts things that are kept in memory, k, m and g stand for 1024 and its "
	"powers: 64k, 1m.\n"
	".TP\n"
	"percentage\n"
	"A whole number with its sign: 75%.\n"
	".TP\n"
	"rate\n"
	"50/s, or 50/s burst 100: as many a second on average, and at most so many at once.\n"
	".TP\n"
	"list\n"
	"Items with commas between them.\n"
	".TP\n"
	"address\n"
	"IPv4 or IPv6: one address, a prefix 192.0.2.0/24, or a range 192.0.2.10\\-192.0.2.20.\n";

static const char man_tail[] = ".SH FILES\n"
			       ".I /etc/ackgate/ackgate.ini\n"
			       ".SH SEE ALSO\n"
			       ".BR ackgated (8),\n"
			       ".BR ackgatectl (8)\n";

static void man_text(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text != '\0'; text++) {
		if (*text == '-' || *text == '\\')
			fputc('\\', stdout);
		fputc(*text, stdout);
	}
}

static void man_takes(const struct option *o)
{
	char takes[512] = "";
	FILE *to = fmemopen(takes, sizeof(takes), "w");

	if (to == NULL)
		return;
	option_print_takes(o, to);
	fclose(to);
	man_text(takes);
}

static void man_option(const struct option *o)
{
	printf(".TP\n.B %s\n", o->key);
	man_text(o->help);
	fputs("\n.br\nTakes ", stdout);
	man_takes(o);
	if (o->initial != NULL) {
		fputs(". Default: ", stdout);
		man_text(o->initial);
	} else {
		fputs(". It has to be given", stdout);
	}
	fputs(o->restart ? ". A change needs a restart.\n" : ".\n", stdout);
}

static void man_section(enum section section)
{
	const struct section_row *row = &section_rows[section];

	printf(row->named ? ".SH [%s NAME]\n" : ".SH [%s]\n", row->name);
	man_text(row->help);
	fputc('\n', stdout);
	for (size_t i = 0; i < option_row_count; i++) {
		if (option_rows[i].section == section && !option_rows[i].later)
			man_option(&option_rows[i]);
	}
}

static void man_later(void)
{
	const char *between = "";

	puts(".SH NOT IN THIS VERSION\nThese keys have their meaning already, but are refused:");
	for (size_t i = 0; i < option_row_count; i++) {
		const struct option *o = &option_rows[i];

		if (!o->later)
			continue;
		printf("%s[%s] %s", between, section_rows[o->section].name, o->key);
		between = ",\n";
	}
	puts(".\nSo are these values:");
	between = "";
	for (size_t i = 0; i < option_row_count; i++) {
		for (const struct option_word *w = option_rows[i].words;
			w != NULL && w->word != NULL; w++) {
			if (!w->later)
				continue;
			printf("%s%s = %s", between, option_rows[i].key,
				*w->word == '*' ? "ADDR:PORT" : w->word);
			between = ",\n";
		}
	}
	puts(".");
}

static void print_man(void)
{
	fputs(man_head, stdout);
	printf("A line has at most %d bytes.\n", INI_LINE_MAX);
	fputs(man_format, stdout);
	for (enum section s = 0; s < SECTION_COUNT; s++)
		man_section(s);
	puts(".SH EXAMPLE\n.nf\n[rule ssh]\nport = 22\n\n[rule web]\nport = 80, 443\nsyn_rate = "
	     "50/s burst 100\n.fi");
	man_later();
	fputs(man_tail, stdout);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "ini") == 0) {
		print_ini();
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "man") == 0) {
		print_man();
		return 0;
	}
	fputs("usage: print_options ini|man\n", stderr);
	return 2;
}
