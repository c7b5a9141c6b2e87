#!/usr/bin/env bash
# Builds the Debian package with a statically linked Swift runtime, and prints its path. Nothing but .build/package is
# written to; what the compiler made there is used again.
set -euo pipefail
cd "$(dirname "$0")/.."

products="device-registry device-registry-device"
made=.build/package

# The table of what is linked is filled at the start, and read-only from then on (-z now).
build() {
  swift build -c release --static-swift-stdlib --scratch-path $made -Xlinker -z -Xlinker now "$@"
}
for product in $products; do build --product $product >&2; done
programs=$(build --show-bin-path)

version=$("$programs/device-registry" --version | cut -d ' ' -f 2)
[ "$(dpkg-parsechangelog -l packaging/debian/changelog -S Version)" = "$version" ] || {
  echo "packaging/debian/changelog does not begin with $version, which the program says it is" >&2
  exit 1
}

# debhelper works in the folder of the sources and writes beside it: it gets a folder of its own, made anew.
rm -rf $made/debian
source=$made/debian/device-registry-$version
mkdir -p "$source"
cp -R packaging/debian packaging/examples packaging/device-registry-admin docs "$source"
for product in $products; do cp "$programs/$product" "$source"; done
packaging/settings-file.sh "$programs/device-registry" >"$source/device-registry.env"
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l packaging/debian/changelog -S Timestamp) \
  packaging/manual-page.sh "$programs/device-registry" >"$source/device-registry.8"

# Packed harder, it would take a minute for a tenth of the size.
export DPKG_DEB_COMPRESSOR_TYPE=${DPKG_DEB_COMPRESSOR_TYPE:-xz} DPKG_DEB_COMPRESSOR_LEVEL=1
# The time of the changelog is that of all files: the same programs make the same package.
(cd "$source" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps) >"$made/debian/log" 2>&1 || {
  cat "$made/debian/log" >&2
  exit 1
}
echo "$PWD/$made/debian/device-registry_${version}_$(dpkg --print-architecture).deb"
