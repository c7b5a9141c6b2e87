#!/usr/bin/env bash
# Writes the file of the service's settings, each with its default, from what the program says of them:
#   settings-file.sh PROGRAM
set -euo pipefail

cat <<'END'
# The settings of the device registry, each with its default. The service reads them when it starts:
#
#   systemctl restart device-registry
#
# A value is taken as it stands, or in double quotes; it is no shell that reads it.
END
"$1" serve --help | sed -nE 's/^  --[a-z0-9-]+, ([A-Z0-9_]+) +/\1\t/p' | while IFS=$'\t' read -r name help; do
  default=$(sed -nE 's/.* \(default: ([^ ]+)\)$/\1/p' <<<"$help")
  # What the unit sets.
  case $name in
    DATABASE_URL) default=sqlite:/var/lib/device-registry/registry.db ;;
    JWT_SECRET_FILE) default=/run/credentials/device-registry.service/jwt-secret ;;
  esac
  printf '\n# %s\n#%s=%s\n' "$(sed -E 's/ \(default: [^ ]+\)$//' <<<"$help")" "$name" "$default"
done
