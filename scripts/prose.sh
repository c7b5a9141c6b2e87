#!/usr/bin/env bash
# Checks comments, documents, help and strings against scripts/prose.txt: a phrase (an extended regular expression for
# whole words, in any case), a tab, and the plain form. Prints each place that has a phrase, and fails if there is one.
set -euo pipefail
cd "$(dirname "$0")/.."

list=scripts/prose.txt
checked="Sources Tests Benchmarks Fuzzing docs README.md CONTRIBUTING.md Makefile Package.swift packaging scripts examples clients"
# Released migrations are never edited; the corpus is input of parsers; the license is not ours.
never="$list Sources/*/Migrations/*.sql Fuzzing/Corpus clients/python/LICENSE"

exclude=()
for path in $never; do exclude+=(":(exclude)$path"); done
found=$(git grep --untracked --no-color -n -I -i -w -E "$(cut -f 1 $list | paste -s -d '|')" -- $checked "${exclude[@]}") || exit 0
while IFS=: read -r file line text; do
  while IFS=$'\t' read -r phrase plain; do
    ! hit=$(grep -o -i -w -E -m 1 "$phrase" <<<"$text" | head -n 1) || [ -z "$hit" ] || echo "$file:$line: \"$hit\": write: $plain"
  done <$list
done <<<"$found" >&2
exit 1
