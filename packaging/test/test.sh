#!/usr/bin/env bash
# Builds the Debian package and tests it.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Maximum exposure of the unit by `systemd-analyze security`, in tenths: 0 is best, 100 worst.
maximum_exposure=13
# The exit status of machine.sh if it cannot run here.
skipped=77

package=$(packaging/build.sh 2>.build/package.log) || { cat .build/package.log >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo
echo "Package: $(basename "$package"), $(du -h "$package" | cut -f 1)"

echo "  a second build gives the same package"
cp "$package" "$work/device-registry.deb"
DPKG_DEB_COMPRESSOR_TYPE=gzip packaging/build.sh >/dev/null 2>&1
for part in --ctrl-tarfile --fsys-tarfile; do
  cmp <(dpkg-deb $part "$package") <(dpkg-deb $part "$work/device-registry.deb")
done

if command -v lintian >/dev/null; then
  echo "  lintian reports nothing"
  lintian --allow-root --fail-on error,warning "$work/device-registry.deb"
fi

echo "  the exposure of its unit is at most $maximum_exposure tenths"
dpkg-deb --raw-extract "$package" "$work/newer"
systemd-analyze security --offline=true --threshold=$maximum_exposure --no-pager \
  "$work/newer/lib/systemd/system/device-registry.service" >"$work/exposure" || { cat "$work/exposure"; exit 1; }
tail -1 "$work/exposure"

sed -i 's/^Version: .*/Version: 9.0/' "$work/newer/DEBIAN/control"
dpkg-deb --root-owner-group -Zgzip -z1 --build "$work/newer" "$work/newer.deb" >/dev/null
status=0
packaging/test/machine.sh packaging/test/life.sh "$work/device-registry.deb" "$work/newer.deb" docs/operations.md ||
  status=$?
[ $status = $skipped ] || exit $status
echo "  (the installation was not tested)"
