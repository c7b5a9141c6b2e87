#!/usr/bin/env bash
# Prints the manual page, made from the program's help:  manual-page.sh PROGRAM
set -euo pipefail

program=$1

# Prints a text literally: escapes backslashes, and dots and quotes at the start of a line.
literally() {
  echo .nf
  sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\\([.']\\)/\\\\\&\\1/"
  echo .fi
}

version=$("$program" --version)
cat <<END
.TH DEVICE\-REGISTRY 8 "$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%d)" "$version" "Device registry"
.SH NAME
device\-registry, device\-registry\-admin, device\-registry\-device, device\-registry\-owner \- registry of trading terminals
.SH DESCRIPTION
END
"$program" --help | literally
"$program" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | while read -r command; do
  echo ".SH DEVICE\\-REGISTRY ${command^^}"
  "$program" "$command" --help | literally
  # The commands of a subject.
  "$program" "$command" --help | grep -q "^usage: device-registry $command COMMAND" || continue
  "$program" "$command" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | while read -r name; do
    echo ".SS device\\-registry $command $name"
    "$program" "$command" "$name" --help | literally
  done
done
cat <<'END'
.SH DEVICE\-REGISTRY\-ADMIN
Runs the same commands with the service's user, settings and data. Only for root.
.PP
.nf
  device\-registry\-admin client add \-\-id alice
  device\-registry\-admin token \-\-sub alice
.fi
.SH DEVICE\-REGISTRY\-DEVICE
Is started by
.BR "device\-registry device" ,
not by hand.
.SH DEVICE\-REGISTRY\-OWNER
Is started by
.B device\-registry
for the commands of an owner (devices, groups, enrolments, signals, events, webhooks), not by hand.
.SH FILES
.TP
.I /etc/device\-registry/device\-registry.env
the settings of the service, read at start
.TP
.I /etc/device\-registry/N.env
further settings of the instance
.BR device\-registry@N ,
from 1 to 9, which listens at 127.0.0.1:801N
.TP
.I /etc/device\-registry/jwt\-secret
the key of the owners' tokens, generated at installation
.TP
.I /etc/device\-registry/sealing\-key
the key that seals secrets in the database, generated at installation
.TP
.I /var/lib/device\-registry
the data, with SQLite
.SH EXIT STATUS
0 for success, 1 for a failure, 2 for a wrong argument or setting, 3 if a question was not confirmed, 4 if some of
the devices were not changed or did not confirm their trading mode in time.
.SH SEE ALSO
.I /usr/share/doc/device\-registry/operations.md
END
