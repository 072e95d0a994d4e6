# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += systemd/ackgate.service.in systemd/ackgate.sysusers systemd/ackgate.tmpfiles
CLEANFILES += systemd/ackgate.service

nodist_systemdsystemunit_DATA = systemd/ackgate.service

systemd/ackgate.service: systemd/ackgate.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && \
		sed 's,[@]sbindir[@],$(sbindir),g; s,[@]bindir[@],$(bindir),g' $(srcdir)/systemd/ackgate.service.in > $@.tmp && mv $@.tmp $@

# Both are named after the program where they are installed, whatever they are called here.
install-data-local: install-systemd-helpers
install-systemd-helpers:
	$(MKDIR_P) "$(DESTDIR)$(prefix)/lib/sysusers.d" "$(DESTDIR)$(prefix)/lib/tmpfiles.d"
	$(INSTALL_DATA) $(srcdir)/systemd/ackgate.sysusers "$(DESTDIR)$(prefix)/lib/sysusers.d/ackgate.conf"
	$(INSTALL_DATA) $(srcdir)/systemd/ackgate.tmpfiles "$(DESTDIR)$(prefix)/lib/tmpfiles.d/ackgate.conf"

uninstall-local: uninstall-systemd-helpers
uninstall-systemd-helpers:
	rm -f "$(DESTDIR)$(prefix)/lib/sysusers.d/ackgate.conf" "$(DESTDIR)$(prefix)/lib/tmpfiles.d/ackgate.conf"

.PHONY: install-systemd-helpers uninstall-systemd-helpers
