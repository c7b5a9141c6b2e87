#!/usr/bin/env bash
# Writes the manual page from what the program says of itself:  manual-page.sh PROGRAM
set -euo pipefail

program=$1

# A text as it stands: a backslash, and a dot or quote at a line's beginning, mean something to troff.
literally() {
  echo .nf
  sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\\([.']\\)/\\\\\&\\1/"
  echo .fi
}

version=$("$program" --version)
cat <<END
.TH DEVICE\-REGISTRY 8 "$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%d)" "$version" "Device registry"
.SH NAME
device\-registry, device\-registry\-admin, device\-registry\-device \- registry of trading terminals
.SH DESCRIPTION
END
"$program" --help | literally
"$program" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | while read -r command; do
  echo ".SH DEVICE\\-REGISTRY ${command^^}"
  "$program" "$command" --help | literally
done
cat <<'END'
.SH DEVICE\-REGISTRY\-ADMIN
Takes the same commands, and runs them as the service does: as its user, with its settings, on its data. For root.
.PP
.nf
  device\-registry\-admin client add \-\-id alice
  device\-registry\-admin token \-\-sub alice
.fi
.SH DEVICE\-REGISTRY\-DEVICE
Is started by
.B device\-registry device
and not by hand.
.SH FILES
.TP
.I /etc/device\-registry/device\-registry.env
the service's settings, read at its start
.TP
.I /etc/device\-registry/jwt\-secret
the key of the owners' tokens, made when the package was installed
.TP
.I /var/lib/device\-registry
the service's data, where it is kept in SQLite
.SH EXIT STATUS
0, or 1 for a failure, or 2 for a wrong argument or setting.
.SH SEE ALSO
.I /usr/share/doc/device\-registry/operations.md
END
