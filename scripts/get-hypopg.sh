#!/bin/sh
# get-hypopg.sh MAJOR TREE  --  bring the extension HypoPG to the server that get-postgres.sh left in TREE
#
# Debian has it prebuilt for 15 (Debian 12), 17 (13) and 18 (testing); for other majors it is built where its
# source lies in PGGET_HYPOPG. Exit 0: there; 69: not to be had, remembered in TREE/.no-hypopg so that it is
# asked once. Installs nothing on the machine.
set -eu
umask 022
[ $# -eq 2 ] || { sed -n '2p' "$0" >&2; exit 64; }
major=$1; tree=$(cd "$2" && pwd -P)
say() { echo "get-hypopg: $*" >&2; }

extensions=$(dirname "$(find -L "$tree" -name pg_stat_statements.control | head -1)")
modules=$(dirname "$(find -L "$tree" -name pg_stat_statements.so | head -1)")
[ -f "$extensions/hypopg.control" ] && exit 0
[ -f "$tree/.no-hypopg" ] && exit 69

tmp=$tree/hypopg.tmp.$$; mkdir "$tmp"
trap 'rm -rf "$tmp"' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM

from_source() {
  [ -n "${PGGET_HYPOPG:-}" ] || return 1
  cp -R "$PGGET_HYPOPG" "$tmp/source"
  make -s -C "$tmp/source" PG_CONFIG="$tree/bin/pg_config" with_llvm=no CC="${CC:-cc}" install >"$tmp/log" 2>&1
}

from_debian() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  case $major in 15) suite=bookworm;; 17) suite=trixie;; 18) suite=forky;; *) return 1;; esac
  # the machine's own Debian mirror and key, and an apt state of our own, so that nothing of the machine's changes
  site=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | head -1)
  [ -n "$site" ] || return 1
  key=/usr/share/keyrings/debian-archive-keyring.gpg; [ -f $key ] && key="[signed-by=$key] " || key=
  a=$tmp/apt; mkdir -p "$a/lists/partial" "$a/cache/archives/partial" "$a/none"
  chmod 755 "$tmp" "$a"; : >"$a/status"
  echo "deb $key$site $suite main" >"$a/sources.list"
  cat >"$a/conf" <<CONF
Dir::Etc::sourcelist "$a/sources.list"; Dir::Etc::sourceparts "$a/none";
Dir::State "$a"; Dir::State::lists "$a/lists"; Dir::State::status "$a/status"; Dir::Cache "$a/cache";
APT::Sandbox::User "root"; Acquire::Languages "none";
CONF
  APT_CONFIG="$a/conf" apt-get update -q >"$tmp/log" 2>&1 || return 1
  (cd "$tmp" && APT_CONFIG="$a/conf" apt-get download -q "postgresql-$major-hypopg" >>"$tmp/log" 2>&1) || return 1
  dpkg-deb -x "$tmp"/postgresql-*.deb "$tmp/root"
  module=$tmp/root/usr/lib/postgresql/$major/lib/hypopg.so
  grep -q '^apt' "$tree/.get-postgres" 2>/dev/null || "${PYTHON:-python3}" "$(dirname "$0")/older_glibc.py" "$module"
  cp "$tmp/root/usr/share/postgresql/$major/extension"/hypopg--*.sql "$extensions/"
  mv -f "$module" "$modules/hypopg.so"
  # the control file comes last: it is what makes the extension available
  cp "$tmp/root/usr/share/postgresql/$major/extension/hypopg.control" "$tmp/control"
  mv -f "$tmp/control" "$extensions/hypopg.control"
}

if from_source || from_debian; then
  say "HypoPG for PostgreSQL $major is in $tree"
  exit 0
fi
: >"$tree/.no-hypopg"
say "no HypoPG for PostgreSQL $major"
[ -s "$tmp/log" ] && tail -3 "$tmp/log" >&2
exit 69
