#!/usr/bin/env bash
# Prints the settings file, with every setting and its default, made from the program's help:
#   settings-file.sh PROGRAM
set -euo pipefail

cat <<'END'
# The settings of the device registry, each with its default. The service reads them at start; to apply changes:
#
#   systemctl restart device-registry
#
# Values may be in double quotes. systemd reads this file, not a shell: it expands no variables and runs no commands.
END
"$1" serve --help | sed -nE 's/^  --[a-z0-9-]+, ([A-Z0-9_]+) +/\1\t/p' | while IFS=$'\t' read -r name help; do
  default=$(sed -nE 's/.* \(default: ([^ ]+)\)$/\1/p' <<<"$help")
  # The unit sets these.
  case $name in
    DATABASE_URL) default=sqlite:/var/lib/device-registry/registry.db ;;
    JWT_SECRET_FILE) default=/run/credentials/device-registry.service/jwt-secret ;;
    SEALING_KEY_FILE) default=/run/credentials/device-registry.service/sealing-key ;;
  esac
  printf '\n# %s\n#%s=%s\n' "$(sed -E 's/ \(default: [^ ]+\)$//' <<<"$help")" "$name" "$default"
done
