# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += etc/ackgate.ini
ackgateconfdir = $(sysconfdir)/ackgate

# What an administrator has written stays: a configuration that is there is never overwritten, nor removed if it was changed.
install-data-local: install-configuration
install-configuration:
	$(MKDIR_P) "$(DESTDIR)$(ackgateconfdir)/conf.d"
	test -e "$(DESTDIR)$(ackgateconfdir)/ackgate.ini" || \
		$(INSTALL_DATA) "$(srcdir)/etc/ackgate.ini" "$(DESTDIR)$(ackgateconfdir)/ackgate.ini"

uninstall-local: uninstall-configuration
uninstall-configuration:
	! cmp -s "$(srcdir)/etc/ackgate.ini" "$(DESTDIR)$(ackgateconfdir)/ackgate.ini" || \
		rm -f "$(DESTDIR)$(ackgateconfdir)/ackgate.ini"
	-rmdir "$(DESTDIR)$(ackgateconfdir)/conf.d" "$(DESTDIR)$(ackgateconfdir)" 2>/dev/null

.PHONY: install-configuration uninstall-configuration

include etc/completion.mk
