#!/usr/bin/env bash
# Builds the Debian package with a statically linked Swift runtime, and prints its path. Writes only to .build/package,
# and reuses build products from there.
set -euo pipefail
cd "$(dirname "$0")/.."

products="device-registry device-registry-device device-registry-owner"
made=.build/package

# -z now: the dynamic linker resolves all symbols at start, and their table is read-only afterwards.
build() {
  swift build -c release --static-swift-stdlib --scratch-path $made -Xlinker -z -Xlinker now "$@"
}
for product in $products; do build --product $product >&2; done
programs=$(build --show-bin-path)

version=$("$programs/device-registry" --version | cut -d ' ' -f 2)
[ "$(dpkg-parsechangelog -l packaging/debian/changelog -S Version)" = "$version" ] || {
  echo "packaging/debian/changelog does not start with $version, the version of the program" >&2
  exit 1
}

# debhelper writes to the source folder and next to it, so it gets a new, separate folder.
rm -rf $made/debian
source=$made/debian/device-registry-$version
mkdir -p "$source"
cp -R packaging/debian packaging/examples packaging/device-registry-admin docs "$source"
for product in $products; do cp "$programs/$product" "$source"; done
packaging/template-unit.sh packaging/debian/device-registry.service >"$source/debian/device-registry@.service"
packaging/settings-file.sh "$programs/device-registry" >"$source/device-registry.env"
mkdir "$source/completions"
"$programs/device-registry" completion bash >"$source/completions/device-registry"
"$programs/device-registry" completion zsh >"$source/completions/_device-registry"
"$programs/device-registry" completion fish >"$source/completions/device-registry.fish"
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l packaging/debian/changelog -S Timestamp) \
  packaging/manual-page.sh "$programs/device-registry" >"$source/device-registry.8"

# Better compression would take a minute to save a tenth of the size.
export DPKG_DEB_COMPRESSOR_TYPE=${DPKG_DEB_COMPRESSOR_TYPE:-xz} DPKG_DEB_COMPRESSOR_LEVEL=1
# All files get the time of the changelog, so that the build is reproducible.
(cd "$source" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps) >"$made/debian/log" 2>&1 || {
  cat "$made/debian/log" >&2
  exit 1
}
echo "$PWD/$made/debian/device-registry_${version}_$(dpkg --print-architecture).deb"
